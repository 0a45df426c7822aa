//! What chapter 7's gate costs an HTTP/2 connection: chapter 7's server beside chapter 5's, which is the same without the gate.

use std::path::Path;
use std::process::Command;

use lab::server_binary::Built;

use crate::client::Client as _;
use crate::compared::Compared;
use crate::h2load::{self, H2load};
use crate::http2_client::Http2Client;
use crate::many_idle::ManyIdle;
use crate::measured::Measured;
use crate::roles::ANYWHERE;
use crate::servers::{Binaries, Server};

/// Eight requests at a time on each of eight connections.
const TURN: H2load = H2load { scheme: "http", requests: 48_000, arguments: &["-c", "8", "-m", "8"] };

pub(crate) fn measure(_: &Binaries) -> Measured {
    let built = ["every-connection", "connection-handover"].map(|package| Built::program(package).build());
    match built {
        [Ok(with), Ok(without)] => of(&with, &without),
        [Err(error), _] | [_, Err(error)] => Measured::all([]).without([error.to_string()]),
    }
}

fn of(with: &Path, without: &Path) -> Measured {
    let idle = ManyIdle {
        key: "http2",
        count: 5_000,
        what: "HTTP/2 connections",
        start: &|| Server::start(&mut start(with), 1),
        connect: &Http2Client::connect,
    };
    let mut compared = Compared {
        key: "http2",
        one: "an HTTP/2 request",
        many: "HTTP/2 requests",
        names: ["with the gate", "without"],
        commands: [with, without].map(start),
    };
    idle.measure(|row| row.at_most(500.0))
        .and(h2load::throughput(&mut compared, &TURN))
        .and(compared.instructions(|address, requests| Http2Client::connect(address).ask_often(requests)))
}

fn start(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.args(["--listen", ANYWHERE]);
    command
}
