//! What clients say that we did not write.
//!
//! The invariant: the verdict is theirs, and it can be a bad one: under a server that is wrong, the same client complains.

use std::process::Command;

use lab::{Program, ThirdParty, example, field};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::server::{BINARY, start};

const UPGRADES: u32 = 10;

#[test]
fn wrk_loses_nothing() {
    ThirdParty::Wrk.assert_nothing_lost(&mut start(&[]), UPGRADES);
}

/// The only one of them that counts the answers that left the connection open; so the others announced a close.
#[test]
fn ab_loses_nothing_and_every_close_is_announced() {
    let Some(verdict) = ThirdParty::Ab.assert_nothing_lost(&mut start(&[]), UPGRADES) else { return };
    let announced = ThirdParty::Ab.asked().unwrap() - verdict.after("Keep-Alive requests:");
    assert!(announced >= u64::from(UPGRADES * ThirdParty::CONNECTIONS), "only {announced} were announced: {verdict:?}");
}

#[test]
fn ab_with_a_connection_per_request_loses_nothing() {
    ThirdParty::AbPerRequest.assert_nothing_lost(&mut start(&[]), UPGRADES);
}

#[test]
fn h2load_loses_nothing() {
    ThirdParty::H2load.assert_nothing_lost(&mut start(&[]), UPGRADES);
}

#[test]
fn wrk_notices_when_connections_are_closed_at_once() {
    let server = example(BINARY, "wrong_close_at_once");
    let mut program = Program::start(Command::new(server).args(["--listen", "127.0.0.1:0"]));
    let first = program.line("listening");
    let Some(client) = ThirdParty::Wrk.start(field(&first, "address").unwrap()) else { return };
    let pid = |line: &str| Pid::from_raw(field(line, "pid").unwrap().parse().unwrap());
    let mut serving = pid(&first);
    for _ in 0..UPGRADES {
        ThirdParty::Wrk.await_connections(&client, serving);
        kill(serving, Signal::SIGUSR2).unwrap();
        serving = pid(&program.line("listening"));
    }
    let verdict = ThirdParty::Wrk.verdict(client);
    assert!(verdict.after(" read ") > 0, "no connection was cut; then this is no wrong turn any more: {verdict:?}");
}
