//! What this program is when it starts itself again: the servers that ours is compared with.
//!
//! The invariant: in a role it measures nothing, says `listening` as all our servers do, and lives until it is killed or,
//! where it can be upgraded, until its successor has taken over.

use std::ffi::OsStr;
use std::process::{Command, ExitCode};

use graceful_shutdown::{Address, Listener, Server, demo};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;

use crate::sized;

/// Any free port, as all servers here are told.
pub(crate) const ANYWHERE: &str = "127.0.0.1:0";

/// The first argument of a program that is to play a role.
const PLAY: &str = "--play";

/// A server to be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Role {
    /// hyper's own example, with our handler.
    Plain,
    /// Our server in a process of so many bytes.
    Sized(usize),
    /// The plain one in a process of so many bytes; on SIGUSR2 it starts a program as chapter 3 does, with fork(2).
    Forking(usize),
}

impl Role {
    pub(crate) fn from_arguments(words: &[String]) -> Option<Role> {
        let [play, role, bytes] = words else { return None };
        if play != PLAY {
            return None;
        }
        let bytes = bytes.parse().expect("our own arguments are well-formed");
        Some(match role.as_str() {
            "plain" => Role::Plain,
            "sized" => Role::Sized(bytes),
            _ => Role::Forking(bytes),
        })
    }

    /// The command that plays it.
    pub(crate) fn command(self, itself: &OsStr) -> Command {
        let (role, bytes) = match self {
            Role::Plain => ("plain", 0),
            Role::Sized(bytes) => ("sized", bytes),
            Role::Forking(bytes) => ("forking", bytes),
        };
        let mut command = Command::new(itself);
        command.args([PLAY, role, &bytes.to_string()]);
        command
    }

    pub(crate) fn play(self) -> ExitCode {
        match self {
            Role::Plain => serve_plainly(),
            Role::Sized(bytes) => sized::upgradable(bytes),
            Role::Forking(bytes) => {
                sized::fork_when_told(bytes);
                serve_plainly()
            }
        }
    }
}

/// hyper 1's example `hello.rs`, with the one thing that its documentation asks for (a timer, without which the header
/// timeout does not work), our handler, and the backlog that our listeners have.
#[tokio::main]
pub(crate) async fn serve_plainly() -> ExitCode {
    let address: Address = ANYWHERE.parse().expect("it is an address");
    let Ok(Listener::Tcp(listener)) = address.bind() else { panic!("any port will do") };
    let listener = TcpListener::from_std(listener).expect("the runtime takes a listener");
    let address = listener.local_addr().expect("it is bound");
    // The handler wants to know of drains; here, none ever begins.
    let server = Server::new();
    let service = demo::service("plain", 1, server.draining());
    println!("listening address={address} pid={}", std::process::id());
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let service = service.clone();
        tokio::spawn(async move {
            let io = TokioIo::new(stream);
            if let Err(error) = http1::Builder::new().timer(TokioTimer::new()).serve_connection(io, service).await {
                println!("{error}");
            }
        });
    }
}
