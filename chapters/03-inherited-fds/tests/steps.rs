//! The steps of the chapter: how each wrong one fails, and that the next one does not.

mod common;

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::Command;

use common::{SERVER, get, with};
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use testkit::{Census, End, Program, field, require};

/// A step, to be started on any port.
fn step(name: &str) -> Command {
    let mut command = Command::new(testkit::example(SERVER, name));
    command.arg("127.0.0.1:0");
    command
}

/// What the line `child: listening` says: the address, and the pid of the helper.
fn served(program: &mut Program) -> (String, Pid) {
    let line = program.line("child: listening");
    let [address, helper] = ["address", "helper"].map(|key| field(&line, key).expect("the line names it").to_owned());
    (address, Pid::from_raw(helper.parse().expect("a pid is a number")))
}

fn file() -> Vec<OwnedFd> {
    vec![File::open("/etc/hosts").expect("a file").into()]
}

#[test]
fn s1_is_refused_the_address_that_its_parent_has() {
    let mut program = Program::start(&mut step("s1_bind_again"));
    program.line("AddrInUse");
    assert_eq!(program.wait(), End::Exited(1));
    assert_eq!(program.count("child: listening"), 0, "the child must not have got the port:\n{}", program.output());
}

#[test]
fn with_reuseport_connections_in_the_old_queue_are_reset() {
    let migrates = std::fs::read_to_string("/proc/sys/net/ipv4/tcp_migrate_req").is_ok_and(|value| value.trim() != "0");
    if !require(!migrates, "with `sysctl net.ipv4.tcp_migrate_req=1`, the kernel moves queued connections over") {
        return;
    }
    let mut program = Program::start(&mut Command::new(testkit::example(SERVER, "wrong_reuseport")));
    let line = program.line("reset=");
    let number = |key| field(&line, key).and_then(|value| value.parse::<usize>().ok()).expect("it is a number");
    assert!(number("reset") > 0, "this is what SO_REUSEPORT costs, but: {line}");
    assert!(number("answered") > 0, "the new socket had a queue of its own, but: {line}");
    assert_eq!(number("reset") + number("answered"), number("clients"), "{line}");
    assert_eq!(program.wait(), End::Exited(0));
}

#[test]
fn the_child_of_each_later_step_serves_on_its_parents_listener() {
    for name in ["s2_leak", "s3_by_number", "s4_by_name"] {
        let mut program = Program::start(&mut step(name));
        let bound = program.line("parent: bound");
        let (address, _) = served(&mut program);
        assert_eq!(field(&bound, "address"), Some(address.as_str()), "{name}");
        let answer = get(&address, "/");
        assert!(answer.contains("hello from pid "), "{answer}");
        assert!(
            !answer.contains(&format!("pid {}\n", program.pid())),
            "{name}: the child should answer, not the parent"
        );
    }
}

#[test]
fn s2_serves_whatever_is_at_3() {
    let mut program = Program::start(&mut with("", file(), &step("s2_leak")));
    program.line("Socket operation on non-socket");
    assert_eq!(program.wait(), End::Exited(1), "/etc/hosts was at 3, so the listener was at 4:\n{}", program.output());
}

#[test]
fn s3_and_s4_put_the_listener_where_the_child_looks_for_it() {
    for name in ["s3_by_number", "s4_by_name"] {
        let mut program = Program::start(&mut with("", file(), &step(name)));
        get(&served(&mut program).0, "/");
    }
}

#[test]
fn the_helper_of_s2_keeps_the_port_when_the_server_has_ended() {
    let mut program = Program::start(&mut step("s2_leak"));
    let (address, helper) = served(&mut program);
    let leaked = Census::of(helper);
    assert_eq!(leaked.targets("socket:").count(), 1, "the helper holds a socket that it knows nothing of: {leaked:?}");

    kill_server(&mut program, &address);
    TcpStream::connect(&address).expect("the kernel still takes connections, and no process accepts them");
    let bound = TcpListener::bind(&address);
    assert_eq!(bound.expect_err("the port is taken").kind(), std::io::ErrorKind::AddrInUse);

    drop(program);
    TcpListener::bind(&address).expect("the port is free once the helper is gone");
}

#[test]
fn the_helpers_of_s3_and_s4_do_not() {
    for name in ["s3_by_number", "s4_by_name"] {
        let mut program = Program::start(&mut step(name));
        let (address, helper) = served(&mut program);
        let census = Census::of(helper);
        assert_eq!(census.targets("socket:").count(), 0, "{name}: the helper should have no socket: {census:?}");
        kill_server(&mut program, &address);
        TcpListener::bind(&address).expect("the port is free once the server is gone");
    }
}

/// Kills parent and child, and leaves the helper.
fn kill_server(program: &mut Program, address: &str) {
    let answer = get(address, "/");
    let child = answer.rsplit_once("pid ").and_then(|(_, pid)| pid.trim().parse().ok()).expect("it names the pid");
    nix::sys::signal::kill(Pid::from_raw(child), Signal::SIGKILL).expect("the child runs");
    testkit::await_exit(Pid::from_raw(child));
    program.wait();
}

#[test]
fn s3_believes_a_variable_that_was_left_behind() {
    let mut program = Program::start(&mut with("export LISTEN_FDS=1", file(), &step("s3_by_number")));
    program.line("Socket operation on non-socket");
    assert_eq!(program.wait(), End::Exited(1), "it takes /etc/hosts for its listener");

    // Worse if it works: it serves the clients of another server.
    let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = other.local_addr().expect("it is bound").to_string();
    let mut program = Program::start(&mut with("export LISTEN_FDS=1", vec![other.into()], &step("s3_by_number")));
    assert_eq!(served(&mut program).0, address, "it was told to serve any port, and not this one");
    get(&address, "/");
}

#[test]
fn s4_believes_no_variable_alone() {
    let setup = "export LISTEN_FDS=2 LISTEN_FDNAMES=parent:web";
    let other = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let mut program = Program::start(&mut with(setup, vec![other().into(), other().into()], &step("s4_by_name")));
    program.line("no channel that our parent made");
    assert_eq!(program.wait(), End::Exited(1));
    assert_eq!(program.count("child: listening"), 0);
}
