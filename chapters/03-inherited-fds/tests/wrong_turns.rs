//! The obvious versions, and how each of them fails.

mod common;

use std::net::{TcpListener, TcpStream};
use std::process::Command;

use common::SERVER;
use lab::{Census, End, Program, field, require};
use nix::unistd::Pid;

fn run(example: &str) -> Program {
    Program::start(&mut Command::new(lab::example(SERVER, example)))
}

#[test]
fn a_second_process_cannot_bind_the_same_address() {
    let mut program = run("wrong_bind_again");
    program.line("new: binding");
    program.line("AddrInUse");
    assert_eq!(program.wait(), End::Exited(1));
    assert_eq!(program.count("new: listening"), 0, "the new one must not have got the port:\n{}", program.output());
}

#[test]
fn with_reuseport_connections_in_the_old_queue_are_reset() {
    let migrates = std::fs::read_to_string("/proc/sys/net/ipv4/tcp_migrate_req").is_ok_and(|value| value.trim() != "0");
    if !require(!migrates, "with `sysctl net.ipv4.tcp_migrate_req=1`, the kernel moves queued connections over") {
        return;
    }
    let mut program = run("wrong_reuseport");
    let line = program.line("reset=");
    let number = |key| field(&line, key).and_then(|value| value.parse::<usize>().ok()).expect("it is a number");
    assert!(number("reset") > 0, "this is what SO_REUSEPORT costs, but: {line}");
    assert!(number("answered") > 0, "the new socket had a queue of its own, but: {line}");
    assert_eq!(number("reset") + number("answered"), number("clients"), "{line}");
    assert_eq!(program.wait(), End::Exited(0));
}

#[test]
fn a_listener_without_cloexec_lives_on_in_a_helper() {
    let mut program = run("wrong_leaky_fds");
    let line = program.line("the server ends");
    let address = field(&line, "address").expect("the line names the address").to_owned();
    let helper = field(&line, "helper").expect("the line names the helper").parse().expect("a pid is a number");
    assert_eq!(program.wait(), End::Exited(0));

    let leaked = Census::of(Pid::from_raw(helper));
    assert_eq!(leaked.targets("socket:").count(), 1, "the helper holds a socket that it knows nothing of: {leaked:?}");
    TcpStream::connect(&address).expect("the kernel still takes connections, for nobody to accept");
    let bound = TcpListener::bind(&address);
    assert_eq!(bound.expect_err("the port is taken").kind(), std::io::ErrorKind::AddrInUse);

    drop(program);
    TcpListener::bind(&address).expect("the port is free once the helper is gone");
}
