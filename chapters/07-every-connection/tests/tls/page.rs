//! The example with a page, which chapter 6's builder serves: HTTP/2 and websockets, encrypted.

use std::process::Command;

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use testkit::{End, Generations, await_exit, example};

use crate::server::{BINARY, Files};

pub(crate) struct Page {
    pub(crate) server: Generations,
    pub(crate) files: Files,
    /// The process before the one that serves, until its probation is over.
    old: Option<Pid>,
}

impl Page {
    /// `None`: there is no certificate.
    pub(crate) fn start() -> Option<Page> {
        let files = Files::make()?;
        let mut command = Command::new(example(BINARY, "page"));
        command.env("NO_COLOR", "1").arg(files.path("both")).arg("127.0.0.1:0");
        Some(Page { server: Generations::start(&mut command, 1), files, old: None })
    }

    /// Upgrades, which ends the probation of the upgrade before.
    pub(crate) fn upgrade(&mut self) {
        if let Some(older) = self.old.replace(self.server.upgrade()) {
            await_exit(older);
        }
    }

    /// Ends it, and asserts that nothing was cut.
    #[track_caller]
    pub(crate) fn ends_well(mut self) {
        self.server.signal(Signal::SIGTERM);
        let end = self.server.program.wait();
        let log = self.server.program.wait_all();
        assert_eq!(end, End::Exited(0), "everything was answered, so the status should be 0; the log:\n{log}");
        assert!(!log.contains("ERROR"), "{log}");
    }
}
