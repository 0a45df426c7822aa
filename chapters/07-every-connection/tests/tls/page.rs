//! The example with a page, which chapter 6's builder serves: HTTP/2 and websockets, encrypted.

use std::process::Command;

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use testkit::{Generations, assert_ends_well, await_exit, example};

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
        command.env("NO_COLOR", "1").arg(files.certificate_and_key()).arg("127.0.0.1:0");
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
    pub(crate) fn ends_well(self) {
        self.server.signal(Signal::SIGTERM);
        assert_ends_well(self.server);
    }
}
