//! Many signals at once.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Instant;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use testkit::load::Plan;
use testkit::{
    Answerer, Generations, TIMEOUT, Unanswered, await_exit, await_refusal, field, hold, let_go, probe, wait_until,
};

use crate::server::{deployment, start};

#[test]
fn a_burst_of_upgrade_signals_leaves_one_server_and_loses_nothing() {
    let mut server = start(&[]);
    let load = Plan::new(server.address()).connections(8).start();
    load.wait_until_warm();
    for _ in 0..5 {
        // To every generation that is there, at whatever moment of its life.
        for _ in 0..5 {
            killpg(server.program.pid(), Signal::SIGUSR2).expect("the group is there");
        }
        load.wait_for_answers(50);
    }
    load.stop().assert_nothing_lost();

    // The last upgrade may still be under way: each process that answers is told to stop, until none does.
    let address = server.address().parse().expect("it is HOST:PORT");
    loop {
        match probe(address) {
            Ok(Answerer { pid, .. }) => {
                let pid = Pid::from_raw(pid.cast_signed());
                kill(pid, Signal::SIGTERM).expect("it has just answered");
                await_exit(pid);
            }
            Err(Unanswered::Refused(_)) => break,
            // It was told to stop.
            Err(Unanswered::Cut(_)) => {}
        }
    }
    let log = server.program.wait_all();
    assert_one_at_a_time(&log);
}

/// A generation says `draining` before it lets the next one listen, and both write to the same log.
#[track_caller]
fn assert_one_at_a_time(log: &str) {
    let mut serving = None;
    for line in log.lines() {
        let pid = field(line, "pid").map(str::to_owned);
        if line.contains("listening") {
            assert_eq!(serving, None, "two accept at a time:\n{log}");
            serving = pid;
        } else if line.contains("draining") && serving == pid {
            serving = None;
        }
    }
}

/// Sends SIGUSR2 as fast as four threads can, SIGTERM in the middle of it, and asserts one stop that cuts nothing.
#[track_caller]
fn assert_a_stop_is_heard_in_a_flood(mut server: Generations) {
    let held = hold(server.address());
    let (pid, is_over, since) = (server.serving, AtomicBool::new(false), Instant::now());
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !is_over.load(Relaxed) && since.elapsed() < TIMEOUT {
                    kill(pid, Signal::SIGUSR2).expect("its request is under way");
                }
            });
        }
        wait_until("it is flooded", || server.program.count("upgrade") > 8);
        server.signal(Signal::SIGTERM);
        server.program.line("draining");
        is_over.store(true, Relaxed);
    });
    let_go(held);
    assert_eq!(server.program.wait().code(), 0, "{}", server.program.output());
    server.program.wait_all();
    await_refusal(server.address());
}

#[test]
fn a_stop_is_not_lost_in_a_flood_of_upgrades_that_are_refused() {
    let deployment = deployment();
    let server = deployment.start(&["--drain-timeout", "1h"]);
    let _gate = deployment.put_gate("");
    assert_a_stop_is_heard_in_a_flood(server);
}

#[test]
fn a_stop_is_not_lost_in_a_flood_of_upgrades_that_fail() {
    let deployment = deployment();
    let server = deployment.start(&["--drain-timeout", "1h"]);
    deployment.put_script("exit 7");
    assert_a_stop_is_heard_in_a_flood(server);
}
