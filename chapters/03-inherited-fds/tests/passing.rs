//! A listener that one process bound is served by another, and the two are one server.

mod common;

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
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
    let log = program.wait_all();
    assert_eq!(program.count("drained"), 1, "the child should have drained:\n{log}");
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

/// Starts the server with a listener on any port of `host`, told to listen on that port of each of `asked`.
fn with_listener_on(host: &str, only_v6: bool, asked: &[&str]) -> (Program, u16) {
    let bound: SocketAddr = format!("{host}:0").parse().expect("an address");
    let socket = Socket::new(Domain::for_address(bound), Type::STREAM, None).expect("a socket");
    if only_v6 {
        socket.set_only_v6(true).expect("it is for IPv6");
    }
    socket.bind(&bound.into()).expect("a free port");
    socket.listen(1).expect("it is bound");
    let port = socket.local_addr().ok().and_then(|address| address.as_socket()).expect("it is bound").port();
    let asked: Vec<_> = asked.iter().map(|host| format!("{host}:{port}")).collect();
    let server = server(&asked.iter().map(String::as_str).collect::<Vec<_>>());
    (Program::start(&mut with("export LISTEN_FDS=1 LISTEN_PID=$$", vec![socket.into()], &server)), port)
}

#[test]
fn an_ipv4_address_and_the_ipv6_form_of_it_are_one_address() {
    for (bound, asked) in [
        ("127.0.0.1", "[::ffff:127.0.0.1]"),
        ("[::ffff:127.0.0.1]", "127.0.0.1"),
        ("0.0.0.0", "[::ffff:0.0.0.0]"),
        ("[::]", "[::ffff:0.0.0.0]"),
    ] {
        let (mut program, port) = with_listener_on(bound, false, &[asked]);
        assert_eq!(program.listening(), format!("{bound}:{port}"), "it should serve {asked}, too");
        get(&format!("127.0.0.1:{port}"), "/");
    }
}

#[test]
fn a_listener_for_one_family_is_not_in_the_way_of_the_other() {
    for (bound, only_v6, asked) in [
        ("[::]", true, "0.0.0.0"),
        ("[::]", true, "127.0.0.1"),
        ("0.0.0.0", false, "[::1]"),
        ("[::1]", false, "0.0.0.0"),
    ] {
        let (mut program, port) = with_listener_on(bound, only_v6, &[asked, bound]);
        assert_eq!(program.listening(), format!("{asked}:{port}"), "{bound} takes nothing that comes for {asked}");
        assert_eq!(program.listening(), format!("{bound}:{port}"));
    }
    for (bound, asked) in [("[::]", "127.0.0.1"), ("0.0.0.0", "[::]"), ("0.0.0.0", "[::ffff:127.0.0.1]")] {
        let (mut program, port) = with_listener_on(bound, false, &[asked]);
        let words = format!("descriptor 3 (unknown) is bound to {bound}:{port}, not to {asked}:{port}");
        assert_eq!(program.wait(), End::Exited(1));
        assert!(program.wait_all().contains(&words), "it should say {words:?}: {}", program.output());
    }
}

#[test]
fn a_unix_listener_is_found_whichever_way_its_path_is_written() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (real, link) = (dir.path().join("real"), dir.path().join("link"));
    std::fs::create_dir(&real).expect("our own directory");
    std::os::unix::fs::symlink(&real, &link).expect("our own directory");
    let bound = format!("unix:{}", real.join("socket").display());
    for path in ["unix:real/socket", "unix:link/socket", "unix:real/../link/./socket", &bound] {
        let socket = UnixListener::bind(real.join("socket")).expect("the place is free");
        let mut command = with("export LISTEN_FDS=1 LISTEN_PID=$$", vec![socket.into()], &server(&[path]));
        let mut program = Program::start(command.current_dir(dir.path()));
        assert_eq!(program.listening(), bound, "{path} should lead there");
        get(&bound, "/");
        std::fs::remove_file(real.join("socket")).expect("it is ours");
    }
}
