//! What is not as promised is refused: one sentence on stderr, exit status 1, nothing left behind.

mod common;

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;

use common::{server, with};
use lab::{End, Program};

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
    assert!(said.starts_with("error: ") && said.lines().count() == 1, "one sentence was due after `{setup}`:\n{said}");
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
        refused(&format!("export LISTEN_PID=$$ LISTEN_FDS={count}"), vec![listener()], &[&quoted, "not a number"]);
    }
}

#[test]
fn a_count_beyond_what_is_open_is_refused() {
    for count in ["4000000000", "2147483647"] {
        let setup = format!("export LISTEN_PID=$$ LISTEN_FDS={count}");
        refused(&setup, vec![listener()], &["LISTEN_FDS promises", count, "are open"]);
    }
}

#[test]
fn descriptors_for_another_process_are_refused() {
    refused("export LISTEN_PID=1 LISTEN_FDS=1", vec![listener()], &["LISTEN_PID=1 "]);
    refused("export LISTEN_PID=me LISTEN_FDS=1", vec![listener()], &["LISTEN_PID=me ", "is not this process"]);
}

#[test]
fn descriptors_for_nobody_in_particular_are_refused() {
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
    refused(
        &format!("{pid} LISTEN_FDS=2 LISTEN_FDNAMES=zero"),
        vec![listener(), listener()],
        &["1 names", "promises 2"],
    );
    refused(&format!("{pid} LISTEN_FDS=1 LISTEN_FDNAMES=zero:first"), vec![listener()], &["2 names", "promises 1"]);
}

#[test]
fn a_name_that_is_not_printable_is_refused() {
    let setup = "export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=\"$(printf 'ze\\033ro')\"";
    refused(setup, vec![listener()], &["is not allowed", r"ze\u{1b}ro"]);
}

#[test]
fn what_is_not_a_listener_for_this_address_is_refused_by_name() {
    let setup = "export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=zero";
    refused(setup, vec![file()], &["\"zero\"", "is not a socket"]);

    let datagrams = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    refused(setup, vec![datagrams.into()], &["\"zero\" has type SOCK_DGRAM and should have SOCK_STREAM"]);

    let peer = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let connected = TcpStream::connect(peer.local_addr().expect("it is bound")).expect("the peer listens");
    refused(setup, vec![connected.into()], &["\"zero\"", "does not listen"]);

    let dir = tempfile::tempdir().expect("a temporary directory");
    let elsewhere = dir.path().join("elsewhere");
    let unix = UnixListener::bind(&elsewhere).expect("a new path");
    let bound_to = format!("is bound to unix:{}, not to 127.0.0.1:0", elsewhere.display());
    refused(setup, vec![unix.into()], &["\"zero\"", &bound_to]);
    assert!(elsewhere.exists(), "the file belongs to whoever bound the socket");
}
