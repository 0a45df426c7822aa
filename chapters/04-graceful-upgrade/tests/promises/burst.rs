//! Many signals at once.

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use testkit::load::Plan;
use testkit::{Answerer, Unanswered, await_exit, field, probe};

use crate::server::start;

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

#[test]
fn a_burst_of_all_signals_ends_everything() {
    let mut server = start(&[]);
    for signal in [Signal::SIGUSR2, Signal::SIGUSR2, Signal::SIGTERM, Signal::SIGUSR2, Signal::SIGINT, Signal::SIGTERM]
    {
        // The group may be gone already.
        let _ = killpg(server.program.pid(), signal);
    }
    server.program.wait_all();
}
