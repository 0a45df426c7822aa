//! What is not as promised is refused: one sentence on stderr, exit status 1, nothing left behind.

mod common;

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;

use common::{server, with};
use socket2::{Domain, Socket, Type};
use testkit::{End, Program};

/// Starts the server after `setup`, with `descriptors`; it must refuse with a sentence that contains all `words`.
fn refused(setup: &str, descriptors: Vec<OwnedFd>, words: &[&str]) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let own = dir.path().join("own");
    // The second address is not inherited, so a server that binds before it checks leaves a file.
    let server = server(&["127.0.0.1:0", &format!("unix:{}", own.display())]);
    let mut program = Program::start(&mut with(setup, descriptors, &server));
    let end = program.wait();
    let said = program.wait_all();
    assert_eq!(end, End::Exited(1), "after `{setup}`, it said:\n{said}");
    assert!(said.starts_with("error: ") && said.lines().count() == 1, "after `{setup}`, one line was due:\n{said}");
    for word in words {
        assert!(said.contains(word), "after `{setup}`, the sentence should say {word:?}, but is:\n{said}");
    }
    assert!(!own.exists(), "after `{setup}`, a socket file was left behind");
}

fn listener() -> OwnedFd {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port").into()
}

fn file() -> OwnedFd {
    File::open("/proc/self/status").expect("a regular file").into()
}

#[test]
fn a_count_that_is_no_number_is_refused() {
    for count in ["abc", "-1", "''", "1.5", "99999999999999999999999"] {
        let quoted = format!("LISTEN_FDS={:?}", count.trim_matches('\''));
        refused(
            &format!("export LISTEN_PID=$$ LISTEN_FDS={count}"),
            vec![listener()],
            &[&quoted, "not a number of open descriptors"],
        );
    }
}

#[test]
fn a_count_beyond_what_is_open_is_refused() {
    for count in ["4000000000", "2147483647"] {
        let setup = format!("export LISTEN_PID=$$ LISTEN_FDS={count}");
        refused(&setup, vec![listener()], &[&format!("LISTEN_FDS={count:?}"), "not a number of open descriptors"]);
    }
}

#[test]
fn descriptors_for_another_process_are_refused() {
    refused("export LISTEN_PID=1 LISTEN_FDS=1", vec![listener()], &["LISTEN_PID=1 "]);
    refused("export LISTEN_PID=me LISTEN_FDS=1", vec![listener()], &["LISTEN_PID=me ", "is not this process"]);
    let setup = "export LISTEN_PID=\"$(printf '1\\033')\" LISTEN_FDS=1";
    refused(setup, vec![listener()], &[r"LISTEN_PID=1\u{1b} ", "is not this process"]);
}

#[test]
fn descriptors_that_are_for_no_process_in_particular_are_refused() {
    refused("export LISTEN_FDS=1", vec![listener()], &["LISTEN_PID is not"]);
}

#[test]
fn a_descriptor_that_is_not_open_is_refused() {
    refused("export LISTEN_PID=$$ LISTEN_FDS=2", vec![listener()], &["descriptor 4 (unknown)", "not open"]);
    refused("export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=zero", vec![], &["descriptor 3 (zero)", "not open"]);
}

#[test]
fn too_few_and_too_many_names_are_refused() {
    let pid = "export LISTEN_PID=$$";
    let one = format!("{pid} LISTEN_FDS=2 LISTEN_FDNAMES=zero");
    refused(&one, vec![listener(), listener()], &["LISTEN_FDNAMES=\"zero\"", "does not name 2 descriptors"]);
    let two = format!("{pid} LISTEN_FDS=1 LISTEN_FDNAMES=zero:first");
    refused(&two, vec![listener()], &["LISTEN_FDNAMES=\"zero:first\"", "does not name 1 descriptors"]);
}

#[test]
fn a_name_that_is_not_printable_is_refused() {
    let setup = "export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=\"$(printf 'ze\\033ro')\"";
    refused(setup, vec![listener()], &["does not name", r"ze\u{1b}ro"]);
}

/// A socket that is bound, and was never told to listen.
fn bound() -> OwnedFd {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("a free port");
    socket.into()
}

fn connection() -> OwnedFd {
    let peer = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    TcpStream::connect(peer.local_addr().expect("it is bound")).expect("the peer listens").into()
}

fn datagrams() -> OwnedFd {
    UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port").into()
}

#[test]
fn what_is_no_listener_is_refused_by_number_and_name_whether_it_was_asked_for_or_not() {
    let pid = "export LISTEN_PID=$$ LISTEN_FDS=1";
    for (names, name) in [("", "unknown"), ("LISTEN_FDNAMES=zero", "zero"), ("LISTEN_FDNAMES=other", "other")] {
        let setup = &format!("{pid} {names}");
        let descriptor = &format!("descriptor 3 ({name}) ");
        refused(setup, vec![file()], &[descriptor, "is not a socket"]);
        refused(setup, vec![datagrams()], &[descriptor, "is a socket of type SOCK_DGRAM, not SOCK_STREAM"]);
        refused(setup, vec![bound()], &[descriptor, "does not listen"]);
        refused(setup, vec![connection()], &[descriptor, "does not listen"]);
    }
}

#[test]
fn a_listener_for_another_address_is_refused_by_number_and_name() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let elsewhere = dir.path().join("elsewhere");
    let unix = UnixListener::bind(&elsewhere).expect("a new path");
    let bound_to = format!("descriptor 3 (zero) is bound to unix:{}, not to 127.0.0.1:0", elsewhere.display());
    refused("export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=zero", vec![unix.into()], &[&bound_to]);
    assert!(elsewhere.exists(), "the file belongs to the process that bound the socket");
}
