//! At the limit of descriptors, threads or processes: an upgrade may fail then, and nothing else does.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getuid};
use rustix::process::{Resource, Rlimit, getrlimit, prlimit};
use testkit::{Census, Generations, Program, Wire, await_exit, await_refusal, hold, let_go, wait_until};

use crate::server::{BINARY, deployment};

/// Forbids a process all descriptors from this number on.
pub(crate) fn limit_descriptors(pid: Pid, to: u64) {
    let to = Rlimit { current: Some(to), maximum: getrlimit(Resource::Nofile).maximum };
    prlimit(rustix::process::Pid::from_raw(pid.as_raw()), Resource::Nofile, to)
        .expect("our child's limit is ours to set");
}

#[test]
fn a_server_whose_clients_have_all_its_descriptors_says_why_it_cannot_be_upgraded_and_serves_on() {
    let deployment = deployment();
    let mut server = deployment.start(&[]);
    limit_descriptors(server.serving, 64);
    let mut clients: Vec<_> = (0..80).map(|_| Wire::connect(server.address())).collect();
    assert_eq!(clients[0].ask("/").status, 200);
    // Not the first complaint: by this one, it really has none left.
    server.program.line("pause=160ms");
    let line = server.upgrade_in_vain();
    assert!(line.contains("Too many open files"), "{line}");
    assert_eq!(clients[0].ask("/").status, 200, "those that are connected notice nothing");

    // When clients have gone, it works.
    drop(clients);
    server.assert_answered_by(1);
    await_exit(server.upgrade());
    server.assert_answered_by(2);
}

#[test]
fn a_successor_that_has_too_few_descriptors_is_survived_however_far_it_comes() {
    let deployment = deployment();
    let server = deployment.start(&["--drain-timeout", "1h"]);
    // Each successor may have one more than the one before, until one has enough.
    for limit in 5..100 {
        deployment.put_script(&format!("ulimit -n {limit}; exec '{BINARY}' \"$@\""));
        server.signal(Signal::SIGUSR2);
        wait_until("it fails, or not", || server.program.count("upgrade failed") + 4 >= limit || listens(&server));
        if listens(&server) {
            return;
        }
        server.assert_answered_by(1);
    }

    panic!("99 descriptors are too few for it, too:\n{}", server.program.output());
}

fn listens(server: &Generations) -> bool {
    server.program.count("generation=2 name") > 0
}

/// Whether a process holds a socket twice, as one that accepts does its listener: once for successors, and once to accept.
fn accepts(pid: Pid) -> bool {
    let census = Census::of(pid);
    let sockets: BTreeSet<_> = census.targets("socket:").map(|(_, socket)| &socket.target).collect();
    sockets.len() < census.targets("socket:").count()
}

#[test]
fn a_process_that_has_no_descriptor_to_come_back_with_answers_what_it_owes() {
    let deployment = deployment();
    let mut server = deployment.start(&["--drain-timeout", "1h"]);
    assert!(accepts(server.serving));
    let held = hold(server.address());
    let first = server.upgrade();
    // Otherwise, it would still try to answer those in the queue when it stops.
    wait_until("the old process accepts no more", || !accepts(first));
    limit_descriptors(first, 4);
    kill(server.serving, Signal::SIGKILL).expect("it serves");
    server.program.line("Too many open files (os error 24); check the limits of this process (ulimit -a); then start");
    await_refusal(server.address());
    let_go(held);
    assert_eq!(server.program.wait().code(), 1, "whatever supervises it should know");
}

/// By the time of an upgrade, the server has its own copies of the listeners, and the runtime what it needs.
#[test]
fn a_server_with_too_many_listeners_for_its_descriptors_is_refused_at_the_start_and_any_other_can_be_upgraded() {
    let listeners = ["--listen", "127.0.0.1:0"].repeat(20);
    let mut started = 0;
    // 20 of its own, 20 for the server, 20 for a successor, and some.
    for limit in (60..=100).step_by(2) {
        let script = format!("ulimit -n {limit}; exec '{BINARY}' \"$@\"");
        let mut program = Program::start(Command::new("sh").args(["-c", &script, "sh"]).args(&listeners));
        if program.try_line("listening").is_err() {
            assert_eq!(program.wait().code(), 1, "with {limit} descriptors: {}", program.output());
            assert!(program.output().contains("ulimit"), "with {limit} descriptors: {}", program.output());
            continue;
        }
        started += 1;
        program.signal(Signal::SIGUSR2);
        assert!(program.try_line("generation=2 ").is_ok(), "with {limit} descriptors: {}", program.output());
    }
    assert!((1..20).contains(&started), "it was started {started} times");
}

/// Sets how many processes the user of a process may have, as that user.
fn limit_processes(pid: Pid, to: &str) {
    let mut command = as_no_root("prlimit");
    let status = command.arg(format!("--pid={pid}")).arg(format!("--nproc={to}:")).status();
    assert!(status.expect("util-linux is there").success());
}

/// A limit on processes does not bind root. So under root, the program runs as another user.
fn as_no_root(program: impl AsRef<OsStr>) -> Command {
    if !getuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(program);
    command
}

#[test]
fn a_server_that_gets_no_thread_and_no_process_loses_the_upgrade_and_nothing_else() {
    let deployment = deployment();
    fs::set_permissions(deployment.path(), fs::Permissions::from_mode(0o755)).expect("our own directory");
    let mut command = as_no_root(deployment.server());
    let mut server = Generations::start(command.args(["--listen", "127.0.0.1:0", "--ready-timeout", "300ms"]), 1);
    // One that is under way fails…
    deployment.put_script("echo started >&2; exec tail -f /dev/null");
    server.signal(Signal::SIGUSR2);
    server.program.line("started");
    limit_processes(server.serving, "1");
    assert!(server.program.line("upgrade failed").contains("it was not ready within 300ms, it was killed"));
    server.assert_answered_by(1);
    // … and the next one does not begin.
    let line = server.upgrade_in_vain();
    assert!(line.contains("Resource temporarily unavailable"), "{line}");
    server.assert_answered_by(1);

    let before = getrlimit(Resource::Nproc).current.map_or("unlimited".to_owned(), |number| number.to_string());
    limit_processes(server.serving, &before);
    deployment.put_binary();
    await_exit(server.upgrade());
    server.assert_answered_by(2);
}
