//! What the examples show a reader, asserted to the letter.

use std::process::Command;

use nix::sys::signal::Signal;
use testkit::{End, Program};

fn example(name: &str) -> Command {
    Command::new(testkit::example(env!("CARGO_BIN_EXE_signal-channel"), name))
}

/// Runs an example that needs no input to its end.
#[track_caller]
fn assert_prints(name: &str, expected: &[&str]) {
    let mut program = Program::start(&mut example(name));
    let output = program.wait_all();
    assert_eq!(output.lines().collect::<Vec<_>>(), expected, "{name} should print exactly this");
    assert_eq!(program.wait(), End::Exited(0), "{name} should end by itself");
}

#[test]
fn step_1_notices_a_signal() {
    let mut program = Program::start(&mut example("s1_flag"));
    program.line("waiting for SIGINT");
    program.signal(Signal::SIGINT);
    program.line("the flag is set");
    assert_eq!(program.wait(), End::Exited(0));
}

#[test]
fn step_2_says_which_signal_came_and_keeps_the_order() {
    let mut program = Program::start(&mut example("s2_self_pipe"));
    program.line("waiting for");
    program.signal(Signal::SIGUSR1);
    program.line("read byte 10 from the pipe: SIGUSR1");
    program.signal(Signal::SIGUSR1);
    program.line("read byte 10 from the pipe: SIGUSR1");
    program.signal(Signal::SIGTERM);
    program.line("read byte 15 from the pipe: SIGTERM");
    assert_eq!(program.wait(), End::Exited(0));
}

#[test]
fn step_3_tells_each_channel_what_it_asked_for() {
    let mut program = Program::start(&mut example("s3_registry"));
    program.line("waiting for");
    program.signal(Signal::SIGUSR1);
    program.line("log channel: SIGUSR1");
    program.signal(Signal::SIGINT);
    program.line("log channel: SIGINT");
    program.line("quit channel: SIGINT");
    assert_eq!(program.wait(), End::Exited(0));
}

#[test]
fn standard_signals_coalesce_and_real_time_signals_queue_with_their_values() {
    let expected = [
        "SIGUSR1 sent 1000 times while blocked: delivered 1 time",
        "SIGRTMIN sent 5 times while blocked: delivered 5 times",
        "... with these values, in this order: 1 2 3 4 5",
    ];
    assert_prints("experiment_coalescing", &expected);
}

#[test]
fn a_signal_goes_to_a_thread_that_does_not_block_it() {
    let expected = [
        "to the process, only alice lets it in:   alice",
        "to bob, both let it in:                  bob",
        "to the process, only bob lets it in:     bob",
        "to the process, nobody lets it in:       ShdPnd 0000000000000200",
        "then alice lets it in:                   alice, ShdPnd 0000000000000000",
    ];
    assert_prints("experiment_which_thread", &expected);
}

#[test]
fn a_handler_that_takes_a_lock_deadlocks_with_the_code_it_interrupted() {
    let expected = ["a handler that stores an atomic: finished", "a handler that takes the lock:   deadlocked"];
    assert_prints("experiment_handler_deadlock", &expected);
}

#[test]
fn a_signal_between_the_look_and_the_sleep_is_lost_unless_it_is_blocked() {
    let expected = [
        "look, signal, sleep:                   still asleep, flag set: true",
        "block, look, signal, sleep unblocked:  woken at once, flag set: true",
    ];
    assert_prints("experiment_lost_wakeup", &expected);
}

#[test]
fn a_full_channel_loses_signals_and_the_others_do_not_notice() {
    let expected = [
        "SIGUSR1 was sent 5 times, to two channels with room for 2",
        "the one that was read got 5",
        "the one that was not got 2; 3 were dropped",
    ];
    assert_prints("experiment_full_channel", &expected);
}

#[test]
fn a_signal_that_comes_too_early_kills_unless_it_is_blocked() {
    let expected = ["signal, then notify:        killed by SIGTERM", "block, signal, then notify: heard it"];
    assert_prints("experiment_too_early", &expected);
}

#[test]
fn wrong_without_a_handler_the_work_is_left_half_done() {
    let mut program = Program::start(&mut example("wrong_no_handler"));
    let charged = program.line("order 1: card charged");
    program.signal(Signal::SIGTERM);
    assert_eq!(program.wait(), End::Killed(Signal::SIGTERM), "the default action should have killed it");
    assert_eq!(program.wait_all(), charged, "the goods were never sent, and not even the destructor ran");
}

#[test]
fn wrong_work_in_the_handler_sees_and_writes_halves() {
    // 30 of the 100 are on neither side, and the report is in the middle of another line.
    assert_prints("wrong_work_in_handler", &["moving 30 from here [report: 70 here + 0 there = 70]", "to there"]);
}
