//! Servers by chapter 6's builder, which others wrote in part, keep the connections of their clients.
//!
//! The old process stays for its probation, until the next upgrade ends that.

use std::process::Command;

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use testkit::load::{Client, Plan};
use testkit::{Generations, Program, assert_ends_well, await_exit, connected, example};

use crate::server::{BINARY, upgrades};

const CONNECTIONS: u32 = 4;

/// An example of this chapter.
fn start(name: &str) -> Generations {
    Generations::start(Command::new(example(BINARY, name)).arg("127.0.0.1:0").env("NO_COLOR", "1"), 1)
}

fn upgrade(server: &mut Generations, old: &mut Option<Pid>) {
    if let Some(older) = old.replace(server.upgrade()) {
        await_exit(older);
    }
}

#[track_caller]
fn keeps_all_connections(name: &str, clients: &[Client]) {
    for client in clients {
        let mut server = start(name);
        let load = Plan::new(server.address()).connections(CONNECTIONS).client(client.clone()).start();
        load.wait_until_warm();
        let mut old = None;
        for _ in 0..upgrades() {
            upgrade(&mut server, &mut old);
            load.wait_for_generation(server.generation);
        }
        let tally = load.stop();
        tally.assert_nothing_lost();
        assert_eq!(tally.closed_announced, 0, "a connection was closed, if politely: {tally:#?}");
        assert_eq!(tally.connections, u64::from(CONNECTIONS), "a client had to connect again: {tally:#?}");
        server.signal(Signal::SIGTERM);
        assert_ends_well(server);
    }
}

#[test]
fn an_axum_service() {
    keeps_all_connections("axum_http2", &[Client::StrictHttp2 { streams: 4 }]);
}

#[test]
fn axums_own_server() {
    keeps_all_connections("axum_serve", &[Client::Strict, Client::StrictHttp2 { streams: 4 }]);
}

#[test]
fn an_accept_loop_around_hyper() {
    keeps_all_connections("hyper_loop", &[Client::Strict, Client::StrictHttp2 { streams: 4 }]);
}

#[test]
fn tonics_own_server() {
    let mut server = start("tonic_serve");
    let last = u64::from(upgrades()) + 1;
    let mut command = Command::new(example(BINARY, "grpc_client"));
    let mut client = Program::start(command.args([server.address(), &last.to_string()]));
    client.line("generation 1 answers");
    let (connections, mut old) = (connected(server.address()), None);
    while server.generation < last {
        upgrade(&mut server, &mut old);
        let now = connected(server.address());
        assert!(now.is_subset(&connections), "there are new ones: {now:?}, and there were {connections:?}");
        client.line(&format!("generation {} answers", server.generation));
    }
    let said = client.wait_all();
    assert!(said.lines().last().is_some_and(|line| line.starts_with("answered=")), "{said}");
    server.signal(Signal::SIGTERM);
    assert_ends_well(server);
}
