//! One system of the field, ready to be started.
//!
//! The invariant: it runs a copy of its program, in a directory of its own, so that the program can be broken and mended
//! under it, and nothing of this machine's configuration takes part.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::Signal;
use testkit::{CERTIFICATE_AND_KEY, GaveUp, Program};

use crate::restart::{CannotMeasure, Running, Strategy};
use crate::server_binary::Built;

use super::port::Port;
use super::protocol::Protocol;
use super::server::{Doors, Server};
use super::tls::{self, Relay};
use super::websocket;

/// A system that can restart a server.
#[derive(Debug, Clone)]
pub struct Peer {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) kind: Kind,
    pub(super) program: PathBuf,
    pub(super) speaks: &'static [Protocol],
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

/// What a proxy needs to speak one more protocol, on a port of its own: nginx, HAProxy.
fn more(protocol: Protocol) -> Option<[&'static str; 2]> {
    let [nginx, haproxy] = match protocol {
        Protocol::Http1 => return None,
        Protocol::Http2 => {
            [include_str!("../../peers/nginx/http2.conf"), include_str!("../../peers/haproxy/http2.cfg")]
        }
        Protocol::Websocket => {
            [include_str!("../../peers/nginx/websocket.conf"), include_str!("../../peers/haproxy/websocket.cfg")]
        }
        Protocol::Tls => [include_str!("../../peers/nginx/tls.conf"), include_str!("../../peers/haproxy/tls.cfg")],
    };
    Some([nginx, haproxy])
}

/// Names in the directory of a server.
pub(super) const SERVER: &str = "server";
pub(super) const CONFIGURATION: &str = "configuration";
/// A proxy's, for a protocol besides HTTP/1.
const PROTOCOL: &str = "protocol";

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
        self.serve_by(&self.program, Protocol::Http1)
    }

    /// For clients that speak this. `None` if it does not.
    pub(super) fn serve_speakers_of(&self, protocol: Protocol) -> Result<Option<Server>, CannotMeasure> {
        if !self.speaks.contains(&protocol) {
            return Ok(None);
        }
        // Websockets of ours need a handler that takes part, and the program has none.
        let program = if self.kind == Kind::UpgradesItself && protocol == Protocol::Websocket {
            Built::WEBSOCKETS.build().map_err(|error| GaveUp(error.to_string()))?
        } else {
            self.program.clone()
        };
        self.serve_by(&program, protocol).map(Some)
    }

    fn serve_by(&self, program: &Path, protocol: Protocol) -> Result<Server, CannotMeasure> {
        let failed = |error| CannotMeasure::Start(program.to_owned(), error);
        let directory = tempfile::tempdir().map_err(failed)?;
        let mut doors = Doors::new(Port::any().map_err(failed)?);
        // A port of ours speaks all that the program does.
        if self.kind != Kind::UpgradesItself && protocol != Protocol::Http1 {
            doors.more = Some(Port::any().map_err(failed)?);
        }
        // Programs of ours that encrypt, or serve websockets, do nothing else.
        doors.probed = self.kind != Kind::UpgradesItself || matches!(protocol, Protocol::Http1 | Protocol::Http2);
        if protocol == Protocol::Tls {
            tls::certify(directory.path())?;
            doors.relay = Some(Relay::start(doors.of_protocol(), directory.path())?);
        }
        fs::copy(program, directory.path().join(SERVER)).map_err(failed)?;
        self.configure(directory.path(), &doors, protocol).map_err(failed)?;
        let mut command = self.command(directory.path(), &doors);
        if self.kind == Kind::UpgradesItself && protocol == Protocol::Tls {
            command.args(["--tls", CERTIFICATE_AND_KEY]);
        }
        let started = Program::try_start(&mut command).map_err(failed)?;
        Server::new(self.kind, started, directory, doors)
    }

    fn configure(&self, directory: &Path, doors: &Doors, protocol: Protocol) -> io::Result<()> {
        let (configuration, more) = match self.kind {
            Kind::UpgradesItself => return Ok(()),
            Kind::NginxReload | Kind::NginxBinary => (NGINX.to_owned(), more(protocol).map(|[nginx, _]| nginx)),
            Kind::Haproxy { option } => {
                (HAPROXY.replace("@OPTION@", option), more(protocol).map(|[_, haproxy]| haproxy))
            }
        };
        fs::write(directory.join(CONFIGURATION), configuration.replace("@ADDRESS@", doors.plain.address()))?;
        let Some(mut more) = more.map(|more| more.replace("@ADDRESS@", doors.of_protocol())) else { return Ok(()) };
        if protocol == Protocol::Websocket {
            more = more.replace("@BACKEND@", &websocket::start_backend()?.to_string());
        }
        fs::write(directory.join(PROTOCOL), more)
    }

    fn command(&self, directory: &Path, doors: &Doors) -> Command {
        let mut command = Command::new(directory.join(SERVER));
        if self.kind == Kind::NginxBinary {
            command = Command::new("sh");
            command.args(["-c", LEFT_BEHIND]).arg(directory.join(SERVER));
        }
        command.current_dir(directory);
        match self.kind {
            // For ours: the others have no such setting, and pass it over.
            Kind::UpgradesItself => command.args(["--listen", doors.plain.address()]).env("READY_TIMEOUT", "1s"),
            Kind::NginxReload | Kind::NginxBinary => {
                command.args(["-e", "stderr", "-c", CONFIGURATION, "-p"]).arg(directory)
            }
            Kind::Haproxy { .. } => {
                command.args(["-W", "-db", "-f", CONFIGURATION]).args(doors.more.iter().flat_map(|_| ["-f", PROTOCOL]))
            }
        };
        command
    }
}
