//! A listener that one process bound is served by the next one.

mod common;

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::os::fd::AsFd as _;
use std::time::Duration;

use common::{get, pid_of, server, show};
use inherited_fds::Bequest;
use lab::{End, Program, field};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::WaitStatus;
use nix::unistd::Pid;

fn child_of(program: &mut Program) -> Pid {
    let line = program.line("handed over");
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
fn exec_in_place_keeps_the_pid_and_serves() {
    let mut program = Program::start(server(&["127.0.0.1:0"]).arg("--exec"));
    let address = program.listening();
    assert_eq!(pid_of(&get(&address, "/")), program.pid().as_raw(), "exec replaces the program, not the process");
    program.signal(Signal::SIGTERM);
    assert_eq!(program.wait(), End::Exited(0));
}

#[test]
fn every_listener_arrives_under_its_own_name() {
    for exec in [None, Some("--exec")] {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let unix = format!("unix:{}", dir.path().join("second").display());
        let mut program = Program::start(server(&["127.0.0.1:0", "[::1]:0", &unix, "127.0.0.1:0"]).args(exec));
        for name in ["zero", "first", "second", "listener-3"] {
            let address = program.listening();
            let answer = get(&address, "/sleep/?duration=0s");
            assert!(answer.contains(&format!("{name} started at")), "{address} should be {name}, but says:\n{answer}");
        }
    }
}

#[test]
fn a_socket_file_is_there_while_the_server_is_and_gone_afterwards() {
    for exec in [None, Some("--exec")] {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("socket");
        let address = format!("unix:{}", path.display());
        let mut program = Program::start(server(&[&address]).args(exec));
        get(&program.listening(), "/");
        program.signal(Signal::SIGTERM);
        assert_eq!(program.wait(), End::Exited(0));
        assert!(!path.exists(), "{exec:?}: the last owner of the socket should have removed {}", path.display());
    }
}

#[test]
fn the_parent_passes_signals_on_and_ends_as_its_child_does() {
    let mut program = Program::start(&mut server(&["127.0.0.1:0"]));
    let child = child_of(&mut program);
    program.listening();
    program.signal(Signal::SIGINT);
    program.line("draining");
    assert_eq!(program.wait(), End::Exited(0), "the child drained, and its status is the parent's");
    assert_eq!(program.count("draining"), 1, "one signal is passed on once");
    lab::await_exit(child);
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
fn when_the_child_has_ended_nobody_holds_the_port() {
    let mut program = Program::start(&mut server(&["127.0.0.1:0"]));
    let child = child_of(&mut program);
    let address = program.listening();
    let parent = lab::Census::of(program.pid());
    let sockets =
        lab::Census::of(child).targets("socket:").map(|(_, socket)| socket.target.clone()).collect::<Vec<_>>();
    let shared: Vec<_> = parent.targets("socket:").filter(|(_, socket)| sockets.contains(&socket.target)).collect();
    assert!(shared.is_empty(), "the parent should have closed its copy of the listener, but holds {shared:?}");
    kill(child, Signal::SIGKILL).expect("the child is there");
    program.wait();
    TcpListener::bind(&address).expect("the port is free once the child is gone");
}

#[test]
fn a_udp_socket_is_handed_over_as_well() {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = socket.local_addr().expect("it is bound");
    let mut bequest = Bequest::new();
    let report = File::create("/dev/null").expect("a file");
    bequest.add("echo", socket.as_fd()).expect("the name is free");
    bequest.add("report", report.as_fd()).expect("the name is free");
    let mut child = bequest.fork_exec(&show(), &["--echo".into(), address.to_string().into()]).expect("it starts");
    drop(socket);

    let client = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    client.set_read_timeout(Some(Duration::from_secs(20))).expect("not zero");
    client.send_to(b"anybody?", address).expect("it is sent");
    let mut datagram = [0; 16];
    let (length, sender) = client.recv_from(&mut datagram).expect("the child answers");
    assert_eq!((&datagram[..length], sender), (b"anybody?".as_slice(), address));
    assert_eq!(child.wait().expect("it is ours to reap"), WaitStatus::Exited(child.pid(), 0));
}
