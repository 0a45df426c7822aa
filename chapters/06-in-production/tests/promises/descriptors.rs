//! At the descriptor limit: connections may have taken all that is not kept back.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::process::{Resource, Rlimit, getrlimit, prlimit};
use testkit::{Census, Generations, Program, Wire, await_exit, children, field, wait_until};

use crate::server::{BINARY, command, deployment, start};

/// Forbids a process all descriptors from this number on, and returns the limits that it had.
fn limit(pid: Pid, current: Option<u64>) -> Rlimit {
    let to = Rlimit { current, maximum: getrlimit(Resource::Nofile).maximum };
    prlimit(rustix::process::Pid::from_raw(pid.as_raw()), Resource::Nofile, to)
        .expect("our child's limit is ours to set")
}

/// Limits a server to this many descriptors, and returns clients that have taken them all.
fn exhaust(server: &mut Generations, limited_to: u64) -> Vec<Wire> {
    limit(server.serving, Some(limited_to));
    let clients = (0..limited_to + 16).map(|_| Wire::connect(server.address())).collect();
    // Not after the first failure: each time it tries to accept, it may find a descriptor that was free.
    server.program.line("pause=160ms");
    clients
}

#[test]
fn a_server_whose_clients_have_all_its_descriptors_is_upgraded_all_the_same() {
    for (handover, more) in [("on", 0), ("off", 0), ("on", 40)] {
        let deployment = deployment();
        let mut command = command(deployment.server(), &["--handover", handover, "--listen", "127.0.0.1:0"]);
        let mut server = Generations::start(command.args(["--listen", "127.0.0.1:0"].repeat(more)), 1 + more);
        let first = server.serving;
        let mut clients = exhaust(&mut server, if more == 0 { 80 } else { 320 });

        deployment.put_script("exit 7");
        for _ in 0..2 {
            let line = server.upgrade_in_vain();
            assert!(line.contains("it exited with status 7"), "it should have been started, and reaped: {line}");
            assert!(children(first).is_empty(), "a successor that is of no use should be reaped");
        }
        // The operator now installs a version that raises the limit.
        deployment.put_script(&format!("ulimit -n 1024; exec {BINARY} \"$@\""));
        server.upgrade();
        if handover == "on" {
            // One connection after the other goes over, as soon as the old process owes it nothing.
            wait_until("a connection is handed over", || clients[0].ask("/").text().ends_with("generation 2\n"));
        }
        drop(clients);
        server.assert_answered_by(2);
        await_exit(first);
    }
}

#[test]
fn a_process_whose_clients_have_all_its_descriptors_comes_back_all_the_same() {
    let deployment = deployment();
    let pid_file = deployment.path().join("pid");
    let options = ["--drain-timeout", "1h", "--pid-file", pid_file.to_str().expect("our own path")];
    let listeners = ["--listen", "127.0.0.1:0"].repeat(8);
    let mut server = Generations::start(&mut command(BINARY, &[&options[..], &listeners].concat()), 8);
    let first = server.serving;
    limit(first, Some(160));
    // None of them goes to the successor: each has a request that is not answered yet.
    let mut held = Vec::new();
    while server.program.count("cannot accept") == 0 {
        let mut client = Wire::connect(server.address());
        client.send("POST /echo HTTP/1.1\r\nhost: lab\r\ncontent-length: 10\r\n\r\nfirst");
        held.push(client);
    }
    server.program.line("pause=160ms");
    server.upgrade();
    kill(server.serving, Signal::SIGKILL).expect("it serves");
    (server.serving, server.generation) = (first, 0);
    server.next_generation(8);
    assert_eq!(std::fs::read_to_string(&pid_file).expect("it serves"), format!("{first}\n"));
    drop(held);
    for address in &server.addresses {
        let answer = Wire::connect(address).ask("/").text();
        assert!(answer.ends_with("generation 1\n"), "no process accepts on {address}");
    }
}

#[test]
fn a_slow_start_in_which_clients_take_what_was_given_up_does_not_keep_a_process_from_coming_back() {
    let deployment = deployment();
    let pid_file = deployment.path().join("pid");
    let options = ["--drain-timeout", "1h", "--handover", "off", "--pid-file"];
    let mut server = deployment.start(&[&options[..], &[pid_file.to_str().expect("our own path")]].concat());
    let first = server.serving;
    let gate = deployment.put_gate("");
    let clients = exhaust(&mut server, 80);
    server.signal(Signal::SIGUSR2);
    server.program.line("started");
    // The accept loop has its next try while the successor is on its way, and takes all it finds.
    let taken = server.program.count("cannot accept");
    wait_until("the server has tried again", || server.program.count("cannot accept") > taken);
    gate.open();
    server.next_generation(1);
    kill(server.serving, Signal::SIGKILL).expect("it serves");
    (server.serving, server.generation) = (first, 0);
    server.next_generation(1);
    assert_eq!(std::fs::read_to_string(&pid_file).expect("it serves"), format!("{first}\n"));
    drop(clients);
    server.assert_answered_by(1);
}

/// The reserve must leave the server and its clients something, and an upgrade must find what it needs.
#[test]
fn a_server_with_too_many_listeners_for_its_descriptors_is_refused_at_the_start_and_any_other_can_be_upgraded() {
    let listeners = ["--listen", "127.0.0.1:0"].repeat(20);
    let mut started = 0;
    for limit in (90..=180).step_by(5) {
        let script = format!("ulimit -n {limit}; exec {BINARY} \"$@\"");
        let mut program = Program::start(command("sh", &["-c", &script, "sh"]).args(&listeners));
        let Ok(line) = program.try_line("listening") else {
            assert_eq!(program.wait().code(), 1, "with {limit} descriptors: {}", program.output());
            assert!(program.output().contains("ulimit -n"), "with {limit} descriptors: {}", program.output());
            continue;
        };
        started += 1;
        let mut clients: Vec<_> =
            (0..8).map(|_| Wire::connect(field(&line, "address").expect("it is named"))).collect();
        assert!(
            clients.iter_mut().all(|client| client.ask("/").status == 200),
            "{limit} descriptors leave none to clients"
        );
        program.signal(Signal::SIGUSR2);
        assert!(program.try_line("generation=2 ").is_ok(), "with {limit} descriptors: {}", program.output());
    }
    assert!((6..19).contains(&started), "it was started {started} times");
}

#[test]
fn a_server_keeps_back_what_it_needs_and_no_more_than_that() {
    let server = start(&[]);
    let kept = Census::of(server.serving).descriptors.range(32..).count();
    assert!((10..=20).contains(&kept), "{kept} descriptors are kept back for one listener");
}
