//! One system of the field, ready to be started.
//!
//! The invariant: it runs a copy of its program, in a directory of its own, so that the program can be broken and mended
//! under it, and nothing of this machine's configuration takes part.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::Signal;
use tempfile::TempDir;
use testkit::Program;

use crate::restart::{CannotMeasure, Running, Strategy};

use super::port::Port;
use super::server::Server;

/// A system that can restart a server.
#[derive(Debug, Clone)]
pub struct Peer {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) kind: Kind,
    pub(super) program: PathBuf,
}

/// How it is started and restarted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// SIGUSR2 to the process that serves.
    UpgradesItself,
    /// SIGHUP to the master, which reads its configuration and starts other workers. It stays itself.
    NginxReload,
    /// SIGUSR2 to the master, which starts another one. When that serves, SIGQUIT ends the first one.
    NginxBinary,
    /// SIGUSR2 to the master, which executes itself and starts another worker.
    Haproxy {
        /// A line among the defaults.
        option: &'static str,
    },
}

impl Kind {
    /// What asks for an upgrade.
    pub(super) fn signal(self) -> Signal {
        if self == Kind::NginxReload { Signal::SIGHUP } else { Signal::SIGUSR2 }
    }

    /// The words in its log that say that the signal was taken. Ours, and the Go libraries, listen before they serve.
    pub(super) fn takes_note(self) -> Option<&'static str> {
        match self {
            Kind::UpgradesItself => None,
            Kind::NginxReload => Some("(SIGHUP) received"),
            Kind::NginxBinary => Some("(SIGUSR2) received"),
            Kind::Haproxy { .. } => Some("Reloading HAProxy"),
        }
    }
}

const NGINX: &str = include_str!("../../peers/nginx/nginx.conf");
const HAPROXY: &str = include_str!("../../peers/haproxy/haproxy.cfg");

/// Names in the directory of a server.
pub(super) const SERVER: &str = "server";
pub(super) const CONFIGURATION: &str = "configuration";

/// In the foreground, nginx refuses a new binary until its parent is gone: it takes it for an older nginx. So a shell starts
/// it, and is ended when it serves.
const LEFT_BEHIND: &str = r#""$0" "$@" & wait"#;

impl Strategy for Peer {
    fn name(&self) -> &str {
        self.name
    }

    fn title(&self) -> &str {
        self.title
    }

    fn start(&self) -> Result<Box<dyn Running>, CannotMeasure> {
        Ok(Box::new(self.serve()?))
    }
}

impl Peer {
    pub(super) fn serve(&self) -> Result<Server, CannotMeasure> {
        let failed = |error| CannotMeasure::Start(self.program.clone(), error);
        let port = Port::any().map_err(failed)?;
        let directory = self.prepare(&port).map_err(failed)?;
        let program = Program::try_start(&mut self.command(directory.path(), &port)).map_err(failed)?;
        Server::new(self.kind, program, directory, port)
    }

    fn prepare(&self, port: &Port) -> io::Result<TempDir> {
        let directory = tempfile::tempdir()?;
        fs::copy(&self.program, directory.path().join(SERVER))?;
        let configuration = match self.kind {
            Kind::UpgradesItself => return Ok(directory),
            Kind::NginxReload | Kind::NginxBinary => NGINX.to_owned(),
            Kind::Haproxy { option } => HAPROXY.replace("@OPTION@", option),
        };
        fs::write(directory.path().join(CONFIGURATION), configuration.replace("@ADDRESS@", port.address()))?;
        Ok(directory)
    }

    fn command(&self, directory: &Path, port: &Port) -> Command {
        let mut command = Command::new(directory.join(SERVER));
        if self.kind == Kind::NginxBinary {
            command = Command::new("sh");
            command.args(["-c", LEFT_BEHIND]).arg(directory.join(SERVER));
        }
        command.current_dir(directory);
        match self.kind {
            // For ours: the others have no such setting, and pass it over.
            Kind::UpgradesItself => command.args(["--listen", port.address()]).env("READY_TIMEOUT", "1s"),
            Kind::NginxReload | Kind::NginxBinary => {
                command.args(["-e", "stderr", "-c", CONFIGURATION, "-p"]).arg(directory)
            }
            Kind::Haproxy { .. } => command.args(["-W", "-db", "-f", CONFIGURATION]),
        };
        command
    }
}
