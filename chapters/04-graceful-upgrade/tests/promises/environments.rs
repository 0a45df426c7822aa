//! Who starts the server should not matter.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use lab::{Census, Generations, Program, await_exit, require};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, kill, sigaction};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};

use crate::generations::{children, hold};
use crate::server::{BINARY, deployment};

/// Started by somebody who ignores and blocks what the server lives by, as after `nohup` or from a careless supervisor.
#[test]
fn a_parent_that_ignores_and_blocks_the_signals_changes_nothing() {
    let deployment = deployment();
    let mut command = Command::new(deployment.server());
    command.args(["--listen", "127.0.0.1:0"]);
    let signals = [Signal::SIGUSR2, Signal::SIGTERM, Signal::SIGINT, Signal::SIGCHLD, Signal::SIGPIPE];
    // SAFETY: between fork and exec, only sigaction(2), to ignore signals, and sigprocmask(2) are called, which are
    // async-signal-safe.
    unsafe {
        command.pre_exec(move || {
            let ignore = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty());
            for signal in signals {
                sigaction(signal, &ignore)?;
            }
            Ok(SigSet::all().thread_block()?)
        });
    }
    let mut server = Generations::start(&mut command, 1);
    let (blocked, first) = (Census::of(server.serving).blocked, server.serving);

    deployment.put_script("exit 7");
    assert!(server.upgrade_in_vain().contains("it exited with status 7"), "the child should be reaped by its parent");
    assert_eq!(children(first), "");
    deployment.put_binary();
    await_exit(server.upgrade());
    server.assert_answered_by(2);
    assert_eq!(Census::of(server.serving).blocked, blocked, "the mask is passed on as it was");
    server.stop();
}

/// A command that runs the server as process 1 of a PID namespace of its own.
fn in_a_namespace(more: &[&str]) -> Option<Command> {
    let unshare = || {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--pid", "--fork", "--kill-child", "--mount-proc"]);
        command
    };
    let allowed = unshare().arg("true").output().is_ok_and(|output| output.status.success());
    if !require(allowed, "this test needs a PID namespace: run it as root, or allow unprivileged user namespaces") {
        return None;
    }
    let mut command = unshare();
    command.arg(BINARY).args(["--listen", "127.0.0.1:0"]).args(more);
    Some(command)
}

/// Process 1 as we see it.
fn process_1(unshare: &Program) -> Pid {
    Pid::from_raw(children(unshare.pid()).trim().parse().expect("unshare has one child"))
}

/// The server as process 1, and that process.
fn as_process_1(more: &[&str]) -> Option<(Generations, Pid)> {
    let server = Generations::start(&mut in_a_namespace(more)?, 1);
    let process_1 = process_1(&server.program);
    Some((server, process_1))
}

#[test]
fn it_works_as_process_1() {
    let Some((mut server, process_1)) = as_process_1(&[]) else { return };
    for generation in 2..=4 {
        kill(process_1, Signal::SIGUSR2).unwrap();
        server.next_generation(1);
        server.assert_answered_by(generation);
    }
    kill(process_1, Signal::SIGTERM).unwrap();
    assert_eq!(server.program.wait().code(), 0, "process 1 ends when the last generation has, with its status");
    let log = server.program.wait_all();
    assert!(!log.contains("has ended older=0 generation=1"), "none is older than the first: {log}");
}

#[test]
fn process_1_says_that_requests_were_cut() {
    let Some((mut server, process_1)) = as_process_1(&["--drain-timeout", "200ms"]) else { return };
    kill(process_1, Signal::SIGUSR2).unwrap();
    server.next_generation(1);
    let _held = hold(server.address());
    kill(process_1, Signal::SIGTERM).unwrap();
    assert_eq!(server.program.wait().code(), 3);
}

#[test]
fn process_1_passes_on_the_second_signal_too() {
    let Some((mut server, process_1)) = as_process_1(&["--drain-timeout", "1h"]) else { return };
    let _held = hold(server.address());
    kill(process_1, Signal::SIGTERM).unwrap();
    server.program.line("draining");
    kill(process_1, Signal::SIGTERM).unwrap();
    assert_eq!(server.program.wait().code(), 143, "cut short by the second SIGTERM");
    server.program.line("1 request was cut: the drain ended first");
}

#[test]
fn process_1_hears_a_stop_before_anybody_is_ready() {
    let deployment = deployment();
    // Whoever opens it to read it waits until somebody writes.
    let pid_file = deployment.path().join("fifo");
    mkfifo(&pid_file, Mode::S_IRWXU).unwrap();
    let Some(mut command) = in_a_namespace(&["--pid-file", pid_file.to_str().unwrap()]) else { return };
    let mut unshare = Program::start(&mut command);
    unshare.line("keeping the server, as process 1");
    kill(process_1(&unshare), Signal::SIGTERM).unwrap();
    assert_eq!(unshare.wait().code(), 143, "it should end the server that hangs, and itself");
    unshare.wait_all();
}
