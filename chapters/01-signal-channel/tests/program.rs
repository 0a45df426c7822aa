//! What the program promises to the process that starts and stops it.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, kill, sigaction};
use nix::unistd::{Pid, getpid};
use testkit::{Census, End, Program, require, require_program};

const PROGRAM: &str = env!("CARGO_BIN_EXE_signal-channel");

// ANCHOR: end_by
fn start(command: &mut Command) -> Program {
    let mut program = Program::start(command);
    program.line("waiting for SIGINT or SIGTERM");
    program
}

/// Sends `signal`, waits for the line about it, and returns how the program ended.
fn end_by(signal: Signal, mut program: Program) -> End {
    program.signal(signal);
    program.line("quit signal received, quit");
    program.wait()
}
// ANCHOR_END: end_by

/// The program, started with its signals in a certain state, which `exec` keeps (signal(7)).
fn born_with(prepare: fn() -> io::Result<()>) -> Command {
    let mut command = Command::new(PROGRAM);
    // SAFETY: fork(2): before exec, only async-signal-safe calls. Here: sigaction(2), pthread_sigmask(3) and kill(2).
    unsafe { command.pre_exec(prepare) };
    command
}

fn run(argument: &str) -> Output {
    Command::new(PROGRAM).arg(argument).output().expect("the program can be started")
}

// ANCHOR: ctrl_c
#[test]
fn ctrl_c_is_said_and_then_ends_the_program_as_130() {
    let end = end_by(Signal::SIGINT, start(&mut Command::new(PROGRAM)));
    assert_eq!(end, End::Killed(Signal::SIGINT), "the parent must see death by the signal: look at die_by");
    assert_eq!(end.code(), 130);
}
// ANCHOR_END: ctrl_c

#[test]
fn sigterm_is_said_and_then_ends_the_program_as_143() {
    let end = end_by(Signal::SIGTERM, start(&mut Command::new(PROGRAM)));
    assert_eq!(end, End::Killed(Signal::SIGTERM), "the parent must see death by the signal: look at die_by");
    assert_eq!(end.code(), 143);
}

#[test]
fn with_exit_zero_a_handled_signal_is_a_success() {
    let end = end_by(Signal::SIGTERM, start(Command::new(PROGRAM).arg("--exit-zero")));
    assert_eq!(end, End::Exited(0));
}

#[test]
fn a_signal_nobody_asked_for_keeps_its_default_action() {
    let mut program = start(&mut Command::new(PROGRAM));
    program.signal(Signal::SIGUSR1);
    assert_eq!(program.wait(), End::Killed(Signal::SIGUSR1));
    assert_eq!(program.count("quit signal received"), 0, "SIGUSR1 was not asked for and must not be on the channel");
}

#[test]
fn signals_that_were_inherited_as_ignored_are_heard() {
    let program = start(&mut born_with(|| {
        let ignored = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty());
        // SAFETY: sigaction(2) may only install a handler that is async-signal-safe; SIG_IGN is no handler at all.
        unsafe { sigaction(Signal::SIGINT, &ignored) }?;
        Ok(())
    }));
    assert_eq!(end_by(Signal::SIGINT, program), End::Killed(Signal::SIGINT));
}

#[test]
fn signals_that_were_inherited_as_blocked_are_heard() {
    let program = start(&mut born_with(|| Ok(SigSet::from(Signal::SIGTERM).thread_block()?)));
    let blocked = Census::of(program.pid()).blocked;
    assert!(blocked.contains(&(Signal::SIGTERM as u32)), "the main thread's mask is not ours to change: {blocked:?}");
    assert_eq!(end_by(Signal::SIGTERM, program), End::Killed(Signal::SIGTERM));
}

#[test]
fn a_signal_that_was_pending_before_main_began_is_heard() {
    let mut program = Program::start(&mut born_with(|| {
        SigSet::from(Signal::SIGTERM).thread_block()?;
        Ok(kill(getpid(), Signal::SIGTERM)?)
    }));
    program.line("quit signal received, quit");
    assert_eq!(program.wait(), End::Killed(Signal::SIGTERM));
}

#[test]
fn as_the_first_process_of_a_namespace_it_still_says_143() {
    let Some(unshare) = require_program("unshare", "util-linux") else { return };
    let namespace = ["--user", "--map-root-user", "--pid", "--fork"];
    let allowed = Command::new(&unshare).args(namespace).arg("true").output().is_ok_and(|end| end.status.success());
    if !require(allowed, "this test needs user namespaces: sysctl kernel.apparmor_restrict_unprivileged_userns=0") {
        return;
    }
    let mut program = start(Command::new(unshare).args(namespace).arg(PROGRAM));
    assert_eq!(program.count("pid 1"), 1, "the program should be the first process of its namespace");

    let children = format!("/proc/{0}/task/{0}/children", program.pid());
    let children = std::fs::read_to_string(children).expect("unshare is our child and runs");
    let inner = children.trim().parse().expect("unshare has one child, the program");
    kill(Pid::from_raw(inner), Signal::SIGTERM).expect("a descendant can be signalled");

    program.line("quit signal received, quit");
    // unshare ends as its child did.
    assert_eq!(program.wait(), End::Exited(143), "the kernel protects pid 1 from itself: main must return 128 + n");
}

#[test]
fn a_bad_option_is_refused_in_one_line_with_status_1() {
    let output = run("--exit-sero");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "clap's own status is 2; demo::run should give 1");
    assert_eq!(said, "error: unexpected argument '--exit-sero' found; see --help\n");
    assert!(output.stdout.is_empty(), "an error belongs on stderr only");
}

#[test]
fn help_and_version_are_successes_on_stdout() {
    for (argument, expected) in [("--help", "--exit-zero"), ("--version", "signal-channel 0.1.0")] {
        let output = run(argument);
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{argument} is not an error: {output:?}");
        assert!(said.contains(expected), "{argument} should say {expected:?}, not {said:?}");
        assert!(output.stderr.is_empty(), "{argument} has nothing to say on stderr: {output:?}");
    }
}
