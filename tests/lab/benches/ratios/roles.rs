//! What this program is when it starts itself again: the servers that ours is compared with, and the receivers of signals.
//!
//! The invariant: in a role it measures nothing. A server says `listening` as all our servers do, and lives until it is
//! killed or, where it can be upgraded, until its successor has taken over; a receiver lives until it has had its signals.

use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use graceful_shutdown::{Address, HttpService};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::dispatch::receive;
use crate::dispatch::way::Way;
use crate::echo;
use crate::sized;
use crate::tls;

/// Any free port, as all servers here are told.
pub(crate) const ANYWHERE: &str = "127.0.0.1:0";

/// The first argument of a program that is to play a role.
const PLAY: &str = "--play";

/// What to be.
#[derive(Debug, Clone)]
pub(crate) enum Role {
    /// hyper's own example, with our handler.
    Plain,
    /// The same under TLS 1.3, by tokio-rustls, with the certificate and the key in this PEM file.
    PlainTls(PathBuf),
    /// Chapter 5's server with an echo over websockets, with chapter 7's gate or without.
    Echo { gate: bool },
    /// Our server in a process of this many bytes.
    Sized(usize),
    /// The plain one in a process of this many bytes; on SIGUSR2 it starts a program with fork(2).
    Forking(usize),
    /// No server: it receives this many signals in one of the ways.
    Receiver(Way, usize),
}

impl Role {
    pub(crate) fn from_arguments(words: &[String]) -> Option<Role> {
        let [play, role, argument] = words else { return None };
        if play != PLAY {
            return None;
        }
        let number = || argument.parse().expect("our own arguments are well-formed");
        Some(match role.as_str() {
            "plain" => Role::Plain,
            "plain-tls" => Role::PlainTls(argument.into()),
            "echo" => Role::Echo { gate: number() > 0 },
            "sized" => Role::Sized(number()),
            "forking" => Role::Forking(number()),
            key => Role::Receiver(Way::from_key(key).expect("our own arguments are well-formed"), number()),
        })
    }

    /// The command that plays it.
    pub(crate) fn command(self, itself: &OsStr) -> Command {
        let (role, argument) = match self {
            Role::Plain => ("plain", OsString::new()),
            Role::PlainTls(file) => ("plain-tls", file.into()),
            Role::Echo { gate } => ("echo", number(gate.into())),
            Role::Sized(bytes) => ("sized", number(bytes)),
            Role::Forking(bytes) => ("forking", number(bytes)),
            Role::Receiver(way, count) => (way.key(), number(count)),
        };
        let mut command = Command::new(itself);
        command.args([PLAY, role]).arg(argument);
        command
    }

    pub(crate) fn play(self) -> ExitCode {
        match self {
            Role::Plain => serve_plainly(None),
            Role::PlainTls(file) => serve_plainly(Some(&tls::acceptor(&file))),
            Role::Echo { gate } => echo::serve(gate),
            Role::Sized(bytes) => sized::upgradable(bytes),
            Role::Forking(bytes) => {
                sized::fork_when_told(bytes);
                serve_plainly(None)
            }
            Role::Receiver(way, count) => receive::play(way, count),
        }
    }
}

fn number(number: usize) -> OsString {
    number.to_string().into()
}

/// hyper 1's example `hello.rs`, with the one thing that its documentation asks for (a timer, without which the header
/// timeout does not work), our handler, and the backlog that our listeners have.
#[tokio::main]
async fn serve_plainly(tls: Option<&TlsAcceptor>) -> ExitCode {
    let address: Address = ANYWHERE.parse().expect("it is an address");
    let listener = address.bind().expect("any port will do");
    let listener = TcpListener::from_std(OwnedFd::from(listener).into()).expect("the runtime takes a listener");
    let address = listener.local_addr().expect("it is bound");
    let service = demo::service("plain", 1, || true);
    println!("listening address={address} pid={}", std::process::id());
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let (service, tls) = (service.clone(), tls.cloned());
        tokio::spawn(async move {
            match tls {
                None => serve_connection(stream, service).await,
                Some(tls) => match tls.accept(stream).await {
                    Ok(stream) => serve_connection(stream, service).await,
                    Err(error) => println!("{error}"),
                },
            }
        });
    }
}

async fn serve_connection(stream: impl AsyncRead + AsyncWrite + Unpin, service: impl HttpService) {
    let io = TokioIo::new(stream);
    if let Err(error) = http1::Builder::new().timer(TokioTimer::new()).serve_connection(io, service).await {
        println!("{error}");
    }
}
