//! A listener from systemd is served: `systemd-socket-activate` binds, and becomes the server at the first connection.

mod common;

use std::io::{ErrorKind, Read as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use common::{SERVER, get};
use nix::sys::signal::Signal;
use testkit::{End, Program, require_program};

/// Starts the server by way of `systemd-socket-activate`, which listens on `sockets` and says so.
fn activated(options: &[&str], sockets: &[&str], server: &[&str]) -> Option<Program> {
    let activate = require_program("systemd-socket-activate", "systemd")?;
    let mut command = Command::new(activate);
    command.args(options);
    for socket in sockets {
        command.args(["--listen", socket]);
    }
    let mut program = Program::start(command.arg(SERVER).args(server));
    for _ in sockets {
        program.line("Listening on");
    }
    Some(program)
}

/// An address that was free a moment ago. `systemd-socket-activate` does not say which port it got for port 0.
fn free_address() -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("it is bound").to_string()
}

fn free_path() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("socket");
    (dir, path)
}

#[test]
fn a_tcp_listener_is_found_by_name() {
    let address = free_address();
    let Some(mut program) = activated(&["--fdname=zero"], &[&address], &["--listen", &address]) else { return };
    let answer = get(&address, "/sleep/?duration=0s");
    assert!(answer.contains("zero started at"), "{answer}");
    assert_eq!(program.listening(), address);
    program.signal(Signal::SIGTERM);
    assert_eq!(program.wait(), End::Exited(0));
}

#[test]
fn a_tcp_listener_without_a_name_is_found_by_address() {
    let address = free_address();
    let Some(mut program) = activated(&[], &[&address], &["--listen", "127.0.0.1:0", "--listen", &address]) else {
        return;
    };
    let answer = get(&address, "/");
    assert_eq!(common::pid_of(&answer), program.pid().as_raw(), "systemd-socket-activate became the server");
    assert_ne!(program.listening(), address, "the first --listen asks for any port, and must not take this one");
    assert_eq!(program.listening(), address);
}

#[test]
fn a_unix_listener_is_found_and_its_file_is_left_to_systemd() {
    for options in [["--fdname=zero"].as_slice(), &[]] {
        let (_dir, path) = free_path();
        let path = path.to_str().expect("it is ASCII");
        let address = format!("unix:{path}");
        let Some(mut program) = activated(options, &[path], &["--listen", &address]) else { return };
        get(&address, "/");
        assert_eq!(program.listening(), address);
        program.signal(Signal::SIGTERM);
        assert_eq!(program.wait(), End::Exited(0));
        assert!(
            std::fs::exists(path).expect("the directory is there"),
            "the process that bound the socket removes its file"
        );
    }
}

#[test]
fn sockets_that_share_a_name_are_told_apart_by_address() {
    // As systemd does with several ListenStream= in one unit.
    let (first, second) = (free_address(), free_address());
    let server = ["--listen", first.as_str(), "--listen", &second];
    let Some(mut program) = activated(&["--fdname=web"], &[&second, &first], &server) else { return };
    assert!(get(&first, "/sleep/?duration=0s").contains("zero started at"));
    assert!(get(&second, "/sleep/?duration=0s").contains("first started at"));
    assert_eq!([program.listening(), program.listening()], [first, second]);
}

#[test]
fn a_listener_for_both_families_serves_what_comes_for_one() {
    // `systemd-socket-activate --listen PORT` binds [::], which takes IPv4 as well.
    let address = free_address();
    let (_, port) = address.rsplit_once(':').expect("it has a port");
    let Some(mut program) = activated(&[], &[port], &["--listen", &format!("0.0.0.0:{port}")]) else { return };
    get(&address, "/");
    assert_eq!(program.listening(), format!("[::]:{port}"));
}

#[test]
fn a_listener_that_is_in_the_way_is_refused_by_number_and_name() {
    let address = free_address();
    let (_, port) = address.rsplit_once(':').expect("it has a port");
    let (any, server) = (format!("0.0.0.0:{port}"), ["--listen", address.as_str()]);
    let Some(mut program) = activated(&[], &[&any], &server) else { return };
    let _client = TcpStream::connect(&address).expect("systemd-socket-activate listens");
    let refusal = program.line("error: ");
    let words = format!("descriptor 3 (unknown) is bound to {any}, not to {address}");
    assert!(refusal.contains(&words), "the sentence should say {words:?}, but is: {refusal}");
    assert_eq!(program.wait(), End::Exited(1));
}

#[test]
fn a_listener_that_no_option_asks_for_is_closed_aloud() {
    let (_dir, path) = free_path();
    let path = path.to_str().expect("it is ASCII");
    let Some(mut program) = activated(&["--fdname=admin"], &[path], &["--listen", "127.0.0.1:0"]) else { return };
    let mut client = UnixStream::connect(path).expect("systemd-socket-activate listens");
    client.set_read_timeout(Some(Duration::from_secs(20))).expect("not zero");
    let warning = program.line("no --listen asks for");
    for word in ["descriptor=3", "admin", path] {
        assert!(warning.contains(word), "the warning should say {word}, but is: {warning}");
    }
    get(&program.listening(), "/");
    let answer = client.read(&mut [0]).map_err(|error| error.kind());
    assert_ne!(answer, Err(ErrorKind::WouldBlock), "a client that waited there should be let go, not left hanging");
}
