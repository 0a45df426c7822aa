//! At the limit of descriptors: connections may have taken all the others.

use std::collections::HashSet;
use std::fs;
use std::process::Command;

use lab::{Census, Generations, Wire};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::process::{Resource, Rlimit, getrlimit, prlimit};

use crate::generations::hold;
use crate::server::{BINARY, deployment, get};

/// Forbids a process all descriptors from this number on, and returns the limits it had.
fn limit(pid: Pid, current: Option<u64>) -> Rlimit {
    let to = Rlimit { current, maximum: getrlimit(Resource::Nofile).maximum };
    prlimit(rustix::process::Pid::from_raw(pid.as_raw()), Resource::Nofile, to)
        .expect("our child's limit is ours to set")
}

/// The lowest number from which a process accepts. It was the lowest that was free, so all below it are taken.
fn accepts_from(pid: Pid) -> i32 {
    let census = Census::of(pid);
    let mut seen = HashSet::new();
    // Each listener is there twice, and the second one is the server's.
    let mut copies = census.targets("socket:").filter(|(_, socket)| !seen.insert(&socket.target));
    copies.next().expect("the server accepts").0
}

#[test]
fn a_server_whose_clients_have_all_its_descriptors_is_upgraded_all_the_same() {
    let deployment = deployment();
    let pid_file = deployment.path().join("pid");
    let mut server = deployment.start(&["--pid-file", pid_file.to_str().unwrap()]);
    let first = server.serving;
    limit(first, Some(64));
    let clients: Vec<_> = (0..80).map(|_| Wire::connect(server.address())).collect();
    // Not the first time: every time that it tries to accept, it may find one that was given up for the successor.
    server.program.line("pause=160ms");

    deployment.put_script(&format!("echo 1 > '{}'; exit 7", pid_file.display()));
    for _ in 0..2 {
        let line = server.upgrade_in_vain();
        assert!(line.contains("it exited with status 7"), "it should have been started: {line}");
        assert_eq!(fs::read_to_string(&pid_file).unwrap(), format!("{first}\n"));
    }
    deployment.put_binary();
    server.upgrade();
    drop(clients);
    server.assert_answered_by(2);
}

#[test]
fn without_a_descriptor_to_spare_a_retired_process_still_comes_back() {
    // So many that the copies the server gets are above the descriptors that are kept back.
    let listeners = ["--listen", "127.0.0.1:0"].repeat(32);
    let mut command = Command::new(BINARY);
    let mut server = Generations::start(command.args(["--drain-timeout", "1h"]).args(listeners), 32);
    let first = server.serving;
    let _held = hold(server.address());
    let freed = accepts_from(first);
    server.upgrade();

    let before = limit(first, u64::try_from(freed).ok());
    kill(server.serving, Signal::SIGKILL).unwrap();
    server.program.line("upgrade failed");
    server.generation = 0;
    server.next_generation(32);
    limit(first, before.current);
    for address in &server.addresses {
        assert!(get(address, "/").ends_with("generation 1\n"), "nobody accepts on {address}");
    }
}
