//! A listener that one process bound is served by another, and the two are one server.

mod common;

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use common::{ask_for_stream, get, pid_of, server, with};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use socket2::{Domain, Socket, Type};
use testkit::{Census, End, Program, field};

fn child_of(program: &mut Program) -> Pid {
    let line = program.line("listeners passed on");
    let child = field(&line, "child").expect("the line names the child");
    Pid::from_raw(child.parse().expect("a pid is a number"))
}

#[test]
fn a_child_serves_on_the_listener_that_its_parent_bound() {
    let mut program = Program::start(&mut server(&["127.0.0.1:0"]));
    let child = child_of(&mut program);
    let address = program.listening();
    assert_eq!(pid_of(&get(&address, "/")), child.as_raw(), "the child answers, not the parent");
}

#[test]
fn every_listener_arrives_under_its_own_name() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let unix = format!("unix:{}", dir.path().join("second").display());
    let mut program = Program::start(&mut server(&["127.0.0.1:0", "[::1]:0", &unix, "127.0.0.1:0"]));
    for name in ["zero", "first", "second", "listener-3"] {
        let address = program.listening();
        let answer = get(&address, "/sleep/?duration=0s");
        assert!(answer.contains(&format!("{name} started at")), "{address} should be {name}, but says:\n{answer}");
    }
}

#[test]
fn a_socket_file_is_there_while_the_server_is_and_gone_afterwards() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("socket");
    let mut program = Program::start(&mut server(&[&format!("unix:{}", path.display())]));
    get(&program.listening(), "/");
    program.signal(Signal::SIGTERM);
    assert_eq!(program.wait(), End::Exited(0));
    assert!(!path.exists(), "the parent bound it, so the parent should have removed {}", path.display());
}

#[test]
fn each_signal_that_stops_a_server_reaches_the_child_and_ends_both() {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT] {
        let mut program = Program::start(&mut server(&["127.0.0.1:0"]));
        let child = child_of(&mut program);
        let mut answer = ask_for_stream(&program.listening());
        program.signal(signal);
        program.line("draining");
        assert!(answer.any(|line| line == "line 2 of 2"), "{signal} cut the request:\n{}", program.output());
        drop(answer);
        assert_eq!(program.wait(), End::Exited(0), "the child drained, and its status is the parent's");
        testkit::await_exit(child);
    }
}

#[test]
fn a_parent_whose_child_was_killed_dies_by_the_same_signal() {
    let mut program = Program::start(&mut server(&["127.0.0.1:0"]));
    let child = child_of(&mut program);
    program.listening();
    kill(child, Signal::SIGUSR1).expect("the child is there");
    assert_eq!(program.wait(), End::Killed(Signal::SIGUSR1));
}

#[test]
fn a_child_whose_parent_was_killed_answers_what_is_under_way_and_ends() {
    let mut program = Program::start(&mut server(&["127.0.0.1:0"]));
    let child = child_of(&mut program);
    let address = program.listening();
    let mut answer = ask_for_stream(&address);
    program.signal(Signal::SIGKILL);
    assert_eq!(program.wait(), End::Killed(Signal::SIGKILL));
    program.line("the parent is gone");
    assert!(answer.any(|line| line == "line 2 of 2"), "the request was cut:\n{}", program.output());
    drop(answer);
    testkit::await_exit(child);
    assert_eq!(program.count("drained"), 1, "the child should have drained:\n{}", program.output());
    TcpListener::bind(&address).expect("the port is free once parent and child are gone");
}

#[test]
fn when_the_child_has_ended_the_port_is_free() {
    let mut program = Program::start(&mut server(&["127.0.0.1:0"]));
    let child = child_of(&mut program);
    let address = program.listening();
    let parent = Census::of(program.pid());
    let sockets = Census::of(child).targets("socket:").map(|(_, socket)| socket.target.clone()).collect::<Vec<_>>();
    let shared: Vec<_> = parent.targets("socket:").filter(|(_, socket)| sockets.contains(&socket.target)).collect();
    assert!(shared.is_empty(), "the parent should have closed its copy of the listener, but holds {shared:?}");
    kill(child, Signal::SIGKILL).expect("the child is there");
    program.wait();
    TcpListener::bind(&address).expect("the port is free once the child is gone");
}

#[test]
fn an_inherited_listener_gets_a_queue_as_long_as_one_that_we_bind() {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("a free port");
    socket.listen(1).expect("it is bound");
    let address = socket.local_addr().ok().and_then(|address| address.as_socket()).expect("it is bound");
    let server = server(&[&address.to_string()]);
    let mut program = Program::start(&mut with("export LISTEN_FDS=1 LISTEN_PID=$$", vec![socket.into()], &server));
    program.listening();

    // It does not accept, so its queue has to take all of them.
    program.signal(Signal::SIGSTOP);
    let connect = |_| TcpStream::connect_timeout(&address, Duration::from_secs(5)).is_ok();
    let connected = (0..50).map(connect).take_while(|connected| *connected).count();
    assert_eq!(connected, 50, "the queue should be longer than the one connection that its parent asked for");
}
