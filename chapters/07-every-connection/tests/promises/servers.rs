//! Servers by chapter 6's builder, which others wrote in part, keep the connections of their clients.
//!
//! The old process stays for its probation, until the next upgrade ends that.

use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use testkit::load::{self, Plan};
use testkit::{Ending, Generations, Program, Wire, assert_ends_well, await_exit, connected, example, freeze};

use crate::client::{ANY_STREAM, Client, DATA, END_STREAM, GOAWAY};
use crate::server::{BINARY, drain, replace, start_other, upgrades};

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
fn keeps_all_connections(name: &str, clients: &[load::Client]) {
    for client in clients {
        let mut server = start(name);
        let load = Plan::new(server.address()).connections(CONNECTIONS).client(*client).start();
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
    keeps_all_connections("axum_http2", &[load::Client::StrictHttp2 { streams: 4 }]);
}

#[test]
fn axums_own_server() {
    keeps_all_connections("axum_serve", &[load::Client::Strict, load::Client::StrictHttp2 { streams: 4 }]);
}

#[test]
fn an_accept_loop_around_hyper() {
    keeps_all_connections("hyper_loop", &[load::Client::Strict, load::Client::StrictHttp2 { streams: 4 }]);
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

/// The chapter's program, served by an accept loop around hyper.
fn listener(more: &[&str]) -> Generations {
    start_other(&example(BINARY, "listener"), more)
}

#[test]
fn half_a_request_goes_over_to_another_server() {
    let mut server = listener(&[]);
    let mut clients = [(); 2].map(|()| Wire::connect(server.address()));
    let [asked, fresh] = &mut clients;
    asked.ask("/");
    for client in [asked, fresh] {
        client.send("GET / HTTP/1.1\r\nHo");
    }
    for _ in 0..2 {
        replace(&mut server);
    }
    for mut client in clients {
        client.send("st: lab\r\n\r\n");
        assert!(client.reply().text().ends_with("generation 3\n"));
    }
}

/// The other server's task may run after the look at the clock that finds its client silent.
#[test]
fn a_request_to_another_server_that_arrives_before_the_idle_timeout_is_noticed_is_answered() {
    let server = listener(&["--idle-timeout", "2s", "--head-timeout", "1s"]);
    let (mut fresh, mut kept): (Vec<_>, Vec<_>) =
        (0..20).map(|_| (Wire::connect(server.address()), Wire::connect(server.address()))).unzip();
    for client in &mut kept {
        assert_eq!(client.ask("/").status, 200);
    }
    freeze(server.serving);
    for client in fresh.iter_mut().chain(&mut kept) {
        client.get("/");
    }
    // Until both timeouts are over.
    std::thread::sleep(Duration::from_millis(2500));
    server.signal(Signal::SIGCONT);
    for client in fresh.iter_mut().chain(&mut kept) {
        assert_eq!(client.reply().status, 200);
    }
    for client in fresh.iter_mut().chain(&mut kept) {
        assert_eq!(client.ending(), Ending::Eof, "and then it was idle");
    }
}

/// With HTTP/2, one that has been answered, and one that has not asked.
#[test]
fn a_stop_says_goodbye_to_the_clients_of_another_server() {
    let mut server = listener(&["--drain-timeout", "1h"]);
    let mut clients = [(); 2].map(|()| Client::greet(&server));
    clients[0].assert_served_by(1, 1);
    replace(&mut server);
    clients[0].assert_served_by(3, 2);
    drain(&mut server);
    for (mut client, last) in clients.into_iter().zip([3, 0]) {
        client.assert_told(last);
        assert_eq!(client.wire.ending(), Ending::Eof);
    }
    assert_ends_well(server);
}

/// A request that is on its way when the warning comes is answered, and one that comes behind the end is given back.
#[test]
fn a_client_of_another_server_that_says_nothing_of_the_warning_is_not_waited_for() {
    let mut server = listener(&["--drain-timeout", "1h"]);
    let mut client = Client::greet(&server);
    client.assert_served_by(1, 1);
    drain(&mut server);
    assert_eq!(client.goaway(), ANY_STREAM);
    client.get(3, "/");
    client.assert_answered_by(3, 1);
    assert_eq!(client.goaway(), 3);
    assert_eq!(client.wire.ending(), Ending::Eof);
    assert_ends_well(server);
}

#[test]
fn a_stream_of_another_server_is_finished_although_its_client_was_told() {
    let mut server = listener(&["--drain-timeout", "1h"]);
    let mut client = Client::greet(&server);
    client.get(1, "/stream?chunks=2&interval=3s");
    client.data(1);
    let old = server.upgrade();
    assert_eq!(client.goaway(), ANY_STREAM);
    assert!(!client.skipped.iter().any(|frame| frame.kind == DATA), "it is told at once: {:?}", client.skipped);
    client.answer_ping();
    assert_eq!(client.answer(1), "line 2 of 2\n");
    assert_eq!(client.goaway(), 1);
    assert_eq!(client.wire.ending(), Ending::Eof);
    await_exit(old);
}

/// Each request begins before the one before ends: if none was held, the connection would never be done.
#[test]
fn a_client_that_asks_on_although_it_was_told_is_given_back_what_comes_late() {
    let mut server = listener(&["--drain-timeout", "1h"]);
    let mut client = Client::greet(&server);
    client.post(1, b"body");
    client.data(1);
    drain(&mut server);
    assert_eq!(client.goaway(), ANY_STREAM);
    client.answer_ping();
    let mut last = 1;
    let end = loop {
        assert!(last < 10_000, "it goes on as if nothing had been said");
        client.post(last + 2, b"body");
        client.send(DATA, END_STREAM, last, &[]);
        let next = client.find(|frame| frame.kind == GOAWAY || frame.kind == DATA && frame.stream == last + 2);
        assert_eq!(client.answer(last), "", "the rest of it");
        if next.kind == GOAWAY {
            break next;
        }
        last += 2;
    };
    assert_eq!(end.payload[..4], last.to_be_bytes());
    assert_eq!(client.wire.ending(), Ending::Eof);
    assert_ends_well(server);
}

#[test]
fn a_client_that_was_told_all_and_does_not_close_is_not_cut() {
    let mut server = listener(&["--drain-timeout", "1900ms"]);
    let mut client = Client::greet(&server);
    client.assert_served_by(1, 1);
    drain(&mut server);
    client.assert_told(1);
    // The process would wait two seconds for it.
    assert_ends_well(server);
}
