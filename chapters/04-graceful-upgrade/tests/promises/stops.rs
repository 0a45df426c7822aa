//! A stop, at whatever moment of an upgrade it comes: the service stops, and no generation is left behind.

use std::process::Command;

use nix::sys::signal::{Signal, kill, killpg};
use testkit::{Generations, await_exit, await_refusal, children, freeze, hold, thaw, wait_until};

use crate::scarcity::limit_descriptors;
use crate::server::{BINARY, deployment, frozen_in_an_upgrade, start, unix};

/// Asserts that every generation ends, that none serves, and that nothing was cut.
#[track_caller]
fn assert_the_service_stops(mut server: Generations) {
    assert_eq!(server.program.wait().code(), 0, "{}", server.program.output());
    server.program.wait_all();
    await_refusal(server.address());
}

#[test]
fn sigterm_while_a_successor_hangs_ends_both() {
    let deployment = deployment();
    let mut server = deployment.start(&[]);
    let mut held = hold(server.address());
    deployment.put_script("exec tail -f /dev/null");
    server.signal(Signal::SIGUSR2);
    server.program.line("upgrading");
    server.signal(Signal::SIGTERM);
    server.program.line("draining");
    held.send("rest.");
    assert_eq!(held.reply().text(), "firstrest.", "what was under way is answered");
    assert_the_service_stops(server);
}

/// The old process may be gone before the new one has begun to live, and that must not serve then.
#[test]
fn sigterm_while_the_successor_is_still_at_its_exec_stops_the_service() {
    let deployment = deployment();
    let mut server = deployment.start(&[]);
    let Some(lease) = deployment.put_slow() else { return };
    server.signal(Signal::SIGUSR2);
    wait_until("the successor is at its exec", || !children(server.serving).is_empty());
    server.signal(Signal::SIGTERM);
    assert_eq!(server.program.wait().code(), 0, "{}", server.program.output());
    await_refusal(server.address());
    drop(lease);
    assert_the_service_stops(server);
}

/// Not even kill(2) helps if no descriptor is left to find the new process by.
#[test]
fn a_successor_that_begins_to_live_when_the_service_has_stopped_ends() {
    let deployment = deployment();
    let mut server = deployment.start(&[]);
    let Some(lease) = deployment.put_slow() else { return };
    server.signal(Signal::SIGUSR2);
    wait_until("the successor is at its exec", || !children(server.serving).is_empty());
    limit_descriptors(server.serving, 3);
    server.signal(Signal::SIGTERM);
    assert_eq!(server.program.wait().code(), 0, "{}", server.program.output());
    drop(lease);
    let log = server.program.wait_all();
    assert!(!log.contains("generation=2"), "{log}");
    await_refusal(server.address());
}

#[test]
fn sigterm_to_a_successor_that_waits_for_its_turn_stops_the_service() {
    let deployment = deployment();
    let (server, successor) = frozen_in_an_upgrade(&deployment, &[]);
    kill(successor, Signal::SIGTERM).unwrap();
    thaw(server.serving);
    assert_the_service_stops(server);
}

#[test]
fn sigterm_to_the_old_process_beside_the_news_that_its_successor_is_ready_stops_the_service() {
    let deployment = deployment();
    let (server, _) = frozen_in_an_upgrade(&deployment, &[]);
    kill(server.serving, Signal::SIGTERM).unwrap();
    thaw(server.serving);
    assert_the_service_stops(server);
}

#[test]
fn sigterm_to_both_in_the_middle_of_an_upgrade_is_one_stop_and_cuts_nothing() {
    let deployment = deployment();
    let (server, successor) = frozen_in_an_upgrade(&deployment, &["--drain-timeout", "1h"]);
    // In the queue of the listener: it was connected before any process was told to stop.
    let mut waiting = testkit::Wire::connect(server.address());
    waiting.get("/");
    kill(successor, Signal::SIGTERM).unwrap();
    kill(server.serving, Signal::SIGTERM).unwrap();
    thaw(server.serving);
    assert_eq!(waiting.reply().status, 200);
    drop(waiting);
    assert_the_service_stops(server);
}

#[test]
fn an_upgrade_and_a_stop_at_once_are_a_stop() {
    let mut server = start(&[]);
    freeze(server.serving);
    server.signal(Signal::SIGUSR2);
    server.signal(Signal::SIGTERM);
    thaw(server.serving);
    server.program.line("draining");
    assert_the_service_stops(server);
}

#[test]
fn sigterm_to_the_group_at_any_moment_of_an_upgrade_ends_every_generation() {
    for _ in 0..10 {
        let mut server = start(&[]);
        server.signal(Signal::SIGUSR2);
        killpg(server.program.pid(), Signal::SIGTERM).unwrap();
        server.program.wait();
        server.program.wait_all();
        await_refusal(server.address());
    }
}

/// To stop the service, ask the process that serves: an older one only ends itself.
#[test]
fn sigterm_to_a_process_that_has_been_replaced_leaves_its_successor_alone() {
    let mut command = Command::new(BINARY);
    command.env("RUST_LOG", "debug").args(["--listen", "127.0.0.1:0", "--drain-timeout", "1h"]);
    let mut server = Generations::start(&mut command, 1);
    let mut held = hold(server.address());
    let first = server.upgrade();
    // Until it has heard of that, a stop is meant for both.
    server.program.line("event=SuccessorAccepts");
    kill(first, Signal::SIGTERM).unwrap();
    held.send("rest.");
    assert_eq!(held.reply().text(), "firstrest.");
    await_exit(first);
    server.assert_answered_by(2);
}

/// A service manager sends its one SIGTERM to every generation.
#[test]
fn a_generation_that_others_have_committed_is_not_cut_by_the_first_sigterm() {
    let mut server = start(&["--drain-timeout", "1h"]);
    let mut slow = hold(server.address());
    let first = server.upgrade();
    let second = server.upgrade();
    for generation in [first, second, server.serving] {
        kill(generation, Signal::SIGTERM).expect("all three are alive: the first one holds the second");
    }
    // What it refuses an upgrade with says whether it has heard the SIGTERM yet.
    let mut heard = || {
        server.program.signal(Signal::SIGUSR2);
        server.program.line("upgrade refused: this process").ends_with("is stopping")
    };
    while !heard() {}

    slow.send("rest.");
    assert_eq!(slow.reply().text(), "firstrest.", "generation 1 was asked to stop once, and cut its client off");
    await_exit(first);
    server.program.wait_all();
}

#[test]
fn sighup_and_sigquit_stop_gracefully_too() {
    for signal in [Signal::SIGHUP, Signal::SIGQUIT] {
        let deployment = deployment();
        let path = deployment.socket();
        let mut server = deployment.start(&["--listen", &unix(&path)]);
        let mut held = hold(server.address());
        server.signal(signal);
        server.program.line("draining");
        held.send("rest.");
        assert_eq!(held.reply().text(), "firstrest.");
        drop(held);
        assert_the_service_stops(server);
        assert!(!path.exists(), "{signal} left the socket's file behind");
    }
}

/// A new version may have bound more than the old one has; when it is ended, that has to go, too.
#[test]
fn a_stop_in_the_middle_of_an_upgrade_leaves_no_socket_file_of_the_new_version() {
    let deployment = deployment();
    let path = deployment.socket();
    let mut server = deployment.start(&[]);
    let gate = deployment.put_gate(&format!("--listen {}", unix(&path)));
    server.signal(Signal::SIGUSR2);
    server.program.line("started");
    freeze(server.serving);
    gate.open();
    testkit::wait_until("the new version has bound its socket", || path.exists());
    server.signal(Signal::SIGTERM);
    thaw(server.serving);
    assert_the_service_stops(server);
    assert!(!path.exists(), "the next start would fail on it");
}
