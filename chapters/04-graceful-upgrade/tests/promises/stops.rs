//! A stop, at whatever moment of an upgrade it comes: the service stops, and no generation is left behind.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use graceful_shutdown::ONE_WISH;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use testkit::{
    Deployment, Generations, Lease, await_exit, await_refusal, children, freeze, hold, let_go, probe,
    sleeps_in_its_runtime, thaw, wait_until,
};

use crate::scarcity::limit_descriptors;
use crate::server::{BINARY, deployment, freeze_in_an_upgrade, frozen_in_an_upgrade, start, unix};

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

/// Begins an upgrade whose successor stays at its exec(2) until the lease is dropped. `None` where that cannot be had.
fn start_slowly(deployment: &Deployment, server: &Generations) -> Option<Lease> {
    let lease = deployment.put_slow()?;
    server.signal(Signal::SIGUSR2);
    wait_until("the successor is at its exec", || !children(server.serving).is_empty());
    Some(lease)
}

/// The old process may be gone before the new one begins to run, and the new one must not serve then.
#[test]
fn sigterm_while_the_successor_is_still_at_its_exec_stops_the_service() {
    let deployment = deployment();
    let mut server = deployment.start(&[]);
    let Some(lease) = start_slowly(&deployment, &server) else { return };
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
    let mut command = Command::new(deployment.server());
    // Without the transitions: in the model, a process that is killed ends.
    let mut server = Generations::start(command.args(["--listen", "127.0.0.1:0"]).env("RUST_LOG", "info"), 1);
    let Some(lease) = start_slowly(&deployment, &server) else { return };
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
fn all_signals_at_once_are_one_stop() {
    let mut server = start(&["--drain-timeout", "1h"]);
    let held = hold(server.address());
    freeze(server.serving);
    for signal in [Signal::SIGUSR2, Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT] {
        server.signal(signal);
    }
    thaw(server.serving);
    server.program.line("draining");
    await_stopping(&mut server);
    let_go(held);
    assert_the_service_stops(server);
}

/// Upgrades a server until it has retired, and returns its successor, frozen: it does not know yet that it is its turn.
fn retire(deployment: &Deployment, server: &mut Generations) -> Pid {
    let successor = freeze_in_an_upgrade(deployment, server);
    freeze(successor);
    thaw(server.serving);
    server.program.line("draining");
    wait_until("the old process has said that it is the successor's turn", || sleeps_in_its_runtime(server.serving));
    successor
}

/// What waits for the old process is a stop, and behind it the news that its successor accepts.
#[test]
fn sigterm_to_the_old_process_before_its_successor_accepts_stops_the_service_however_late_it_is_heard() {
    let deployment = deployment();
    let mut server = deployment.start(&["--drain-timeout", "1h"]);
    let first = server.serving;
    let successor = retire(&deployment, &mut server);
    freeze(first);
    kill(first, Signal::SIGTERM).unwrap();
    thaw(successor);
    // A predecessor that does not answer delays the line for a moment, not for ever.
    server.next_generation(1);
    thaw(first);
    assert_the_service_stops(server);
}

/// A script that waits for `listening` and then ends the old process must end no other.
#[test]
fn a_successor_says_that_it_listens_when_its_predecessor_knows_it() {
    let deployment = deployment();
    let mut server = deployment.start(&["--drain-timeout", "1h"]);
    let (first, address) = (server.serving, server.address().parse().expect("it is HOST:PORT"));
    let successor = retire(&deployment, &mut server);
    freeze(first);
    let since = Instant::now();
    thaw(successor);
    wait_until("the successor answers", || probe(address).is_ok());
    kill(successor, Signal::SIGUSR2).unwrap();
    server.program.line("upgrading");
    let said = server.program.count("generation=2 ") > 0;
    assert!(!said || since.elapsed() > Duration::from_secs(1), "a stop of the old process would end both");
    thaw(first);
}

/// The process that was asked to stop has been replaced twice by the time it hears of it.
#[test]
fn a_stop_goes_on_to_the_process_in_charge_however_many_came_between() {
    let deployment = deployment();
    let mut server = deployment.start(&["--drain-timeout", "1h"]);
    let first = server.serving;
    let successor = retire(&deployment, &mut server);
    freeze(first);
    kill(first, Signal::SIGTERM).unwrap();
    thaw(successor);
    server.next_generation(1);
    deployment.put_binary();
    server.upgrade();
    server.assert_answered_by(3);
    thaw(first);
    assert_the_service_stops(server);
}

/// However long an old generation may drain otherwise.
#[test]
fn a_stop_between_two_processes_in_charge_reaches_the_generations_that_still_drain() {
    let deployment = deployment();
    let mut server = deployment.start(&["--drain-timeout", "1h"]);
    let held = hold(server.address());
    let first = server.upgrade();
    server.program.line("upgrading");
    server.program.line("draining");
    let second = server.serving;
    let third = retire(&deployment, &mut server);
    kill(second, Signal::SIGTERM).unwrap();
    // The first generation is the process that was started.
    await_stopping(&mut server);
    thaw(third);
    let_go(held);
    await_exit(first);
    assert_the_service_stops(server);
}

/// Both get the same wish. The successor hears of it late and passes it on, and that is not a second wish.
#[test]
fn a_stop_that_a_successor_passes_on_late_cuts_nothing() {
    let deployment = deployment();
    let mut server = deployment.start(&["--drain-timeout", "1h"]);
    let held = hold(server.address());
    let successor = retire(&deployment, &mut server);
    kill(successor, Signal::SIGTERM).unwrap();
    kill(server.serving, Signal::SIGTERM).unwrap();
    await_stopping(&mut server);
    thread::sleep(2 * ONE_WISH);
    thaw(successor);
    server.program.line("draining");
    let_go(held);
    assert_the_service_stops(server);
}

/// Waits until the process that was started has heard all stops that were sent to it.
fn await_stopping(server: &mut Generations) {
    // It handles stops first: the sentence by which it refuses an upgrade tells whether it has heard them.
    let mut heard = || {
        server.program.signal(Signal::SIGUSR2);
        server.program.line("upgrade refused: this process").ends_with("is stopping")
    };
    while !heard() {}
}

/// As from a wrapper that passes on what its whole process group got.
#[test]
fn one_wish_that_comes_twice_while_a_successor_is_ended_cuts_nothing() {
    let deployment = deployment();
    let mut server = deployment.start(&["--drain-timeout", "1h"]);
    let held = hold(server.address());
    deployment.put_script("exec tail -f /dev/null");
    server.signal(Signal::SIGUSR2);
    server.program.line("upgrading");
    server.signal(Signal::SIGTERM);
    server.signal(Signal::SIGINT);
    server.program.line("draining");
    await_stopping(&mut server);
    let_go(held);
    assert_the_service_stops(server);
}

/// To stop the service, ask the process that serves: an older one only ends itself.
#[test]
fn sigterm_to_a_process_that_has_been_replaced_leaves_its_successor_alone() {
    let mut server = start(&["--drain-timeout", "1h"]);
    let held = hold(server.address());
    let first = server.upgrade();
    kill(first, Signal::SIGTERM).unwrap();
    let_go(held);
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
    await_stopping(&mut server);
    slow.send("rest.");
    assert_eq!(slow.reply().text(), "firstrest.", "generation 1 was asked to stop once, but cut its client off");
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

/// A new version may have bound more than the old one has. When it is ended, that must go, too.
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

#[test]
fn under_nohup_no_generation_ends_with_its_terminal() {
    let mut nohup = Command::new("sh");
    nohup.args(["-c", r#"trap '' HUP; exec "$0" --listen 127.0.0.1:0 --drain-timeout 1h"#, BINARY]);
    let mut server = Generations::start(&mut nohup, 1);
    for generation in 1..=2 {
        server.signal(Signal::SIGHUP);
        server.assert_answered_by(generation);
        await_exit(server.upgrade());
    }
    server.assert_answered_by(3);
    server.stop();
    server.program.wait_all();
}
