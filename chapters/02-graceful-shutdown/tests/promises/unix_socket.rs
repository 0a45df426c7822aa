//! Unix sockets: served as TCP is, and the file goes when the server goes; but never a file of another process.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::Signal;
use socket2::{Domain, SockAddr, Socket, Type};
use tempfile::TempDir;
use testkit::{End, Program, Wire, require_program, wait_until};

use crate::server::{Server, command};

/// A place for a socket; it goes with the directory.
fn place() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("there is room in /tmp");
    let path = directory.path().join("socket");
    (directory, path)
}

fn start(path: &Path, options: &[&str]) -> Server {
    let listen = format!("unix:{}", path.display());
    let server = Server::listening(&[&["--listen", &listen], options].concat());
    assert_eq!(server.address, listen);
    server
}

fn endless(server: &Server) -> Wire {
    let mut client = server.connect();
    client.get("/stream?chunks=2&interval=1h");
    client.wait_for("line 1 of 2");
    client
}

#[test]
fn it_is_served_and_drained_like_tcp_and_the_file_is_gone_after() {
    let (_directory, path) = place();
    let mut server = start(&path, &[]);
    let (mut kept_alive, mut fresh, mut under_way) = (server.connect(), server.connect(), server.connect());
    assert_eq!(kept_alive.ask("/").status, 200);
    under_way.get("/stream?chunks=2&interval=200ms");
    under_way.wait_for("line 1 of 2");
    server.drain();
    assert!(kept_alive.ask("/").says_close());
    assert!(fresh.ask("/").says_close());
    assert!(under_way.reply().text().ends_with("line 2 of 2\n"));
    drop((kept_alive, fresh, under_way));
    server.assert_ends_well();
    assert!(!path.exists(), "the socket file outlived the server");
}

#[test]
fn connections_in_the_accept_queue_are_answered() {
    let (_directory, path) = place();
    let server = start(&path, &[]);
    server.freeze();
    let mut client = server.connect();
    client.get("/");
    server.program.signal(Signal::SIGTERM);
    server.program.signal(Signal::SIGCONT);
    assert_eq!(client.reply().status, 200);
    drop(client);
    server.assert_ends_well();
}

#[test]
fn the_file_is_gone_when_the_deadline_has_cut() {
    let (_directory, path) = place();
    let mut server = start(&path, &["--drain-timeout", "0s"]);
    let client = endless(&server);
    server.drain();
    server.assert_cuts(1);
    assert!(!path.exists(), "the socket file outlived the server");
    drop(client);
}

#[test]
fn the_file_is_gone_after_a_second_signal() {
    let (_directory, path) = place();
    let mut server = start(&path, &["--drain-timeout", "1h"]);
    let client = endless(&server);
    server.drain();
    std::thread::sleep(2 * graceful_shutdown::ONE_WISH);
    server.program.signal(Signal::SIGTERM);
    assert_eq!(server.program.wait(), End::Killed(Signal::SIGTERM));
    assert!(!path.exists(), "the socket file outlived the server");
    drop(client);
}

#[test]
fn a_file_that_was_put_in_its_place_stays() {
    let (_directory, path) = place();
    let mut server = start(&path, &[]);
    let mut client = server.connect();
    fs::remove_file(&path).expect("it is ours");
    let _others = UnixListener::bind(&path).expect("the place is free");
    server.drain();
    assert_eq!(client.ask("/").status, 200, "a connection does not need the file");
    drop(client);
    server.assert_ends_well();
    assert!(path.exists(), "the server removed a socket that was not its own");
}

#[test]
fn several_addresses_are_served_side_by_side() {
    let (_directory, path) = place();
    let listen = format!("unix:{}", path.display());
    let mut server = Server::listening(&["--listen", "127.0.0.1:0", "--listen", &listen, "--listen", "[::1]:0"]);
    let addresses = [server.address.clone(), server.program.listening(), server.program.listening()];
    for (address, name) in addresses.iter().zip(["zero", "first", "second"]) {
        let text = Wire::connect(address).ask("/sleep/?duration=1ms").text();
        assert!(text.starts_with(&format!("{name} started at ")), "{address} should be called {name}: {text:?}");
    }
    server.drain();
    server.assert_ends_well();
    assert!(!path.exists());
}

/// What a server that was killed leaves behind.
fn leave_behind(path: &Path) {
    let mut server = start(path, &[]);
    server.program.signal(Signal::SIGKILL);
    server.program.wait();
}

/// When the file was made. (Its inode may be given to the next one.)
fn made(path: &Path) -> Option<(i64, i64)> {
    path.symlink_metadata().ok().map(|meta| (meta.ctime(), meta.ctime_nsec()))
}

#[test]
fn a_file_that_was_left_behind_by_a_server_that_was_killed_does_not_keep_the_next_one_from_its_place() {
    let (_directory, path) = place();
    leave_behind(&path);
    let mut server = start(&path, &[]);
    let line = server.program.line("left behind by a process that is gone");
    assert!(line.contains(path.to_str().expect("our own path")) && line.contains("INFO"), "{line}");
    assert_eq!(server.connect().ask("/").status, 200);
    server.drain();
    server.assert_ends_well();
    assert!(!path.exists(), "the socket file outlived the server");
}

/// The first has bound its socket and does not listen yet. Its clients are refused, as if its owner were gone.
#[test]
fn of_two_that_find_the_same_file_left_behind_one_serves() {
    let Some(strace) = require_program("strace", "strace") else { return };
    let (directory, path) = place();
    leave_behind(&path);
    let stale = made(&path);
    let listen = format!("unix:{}", path.display());
    let mut slow = Command::new(strace);
    slow.args(["-qq", "-o"]).arg(directory.path().join("trace")).args(["--inject=listen:delay_enter=300ms", "--"]);
    slow.arg(command(&[]).get_program()).args(["--listen", &listen]);
    let mut first = Program::start(&mut slow);
    wait_until("the first has bound its socket", || ![None, stale].contains(&made(&path)));
    let mut second = Program::start(&mut command(&["--listen", &listen]));
    second.line("it is taken");
    assert_eq!(second.wait(), End::Exited(1));
    assert_eq!(first.listening(), listen);
    assert_eq!(Wire::connect(&listen).ask("/").status, 200);
}

#[test]
fn of_many_that_start_at_once_where_a_file_was_left_behind_one_serves() {
    let (_directory, path) = place();
    let listen = format!("unix:{}", path.display());
    for _ in 0..5 {
        leave_behind(&path);
        let mut all: Vec<_> = (0..6).map(|_| Program::start(&mut command(&["--listen", &listen]))).collect();
        wait_until("all but one have ended", || all.iter().filter(|program| program.is_running()).count() <= 1);
        all.retain(Program::is_running);
        assert_eq!(all.len(), 1, "one should serve");
        assert_eq!(Wire::connect(&listen).ask("/").status, 200);
    }
}

#[test]
fn one_that_does_not_accept_and_one_for_datagrams_are_taken_for_what_they_are() {
    let (_directory, path) = place();
    let listen = format!("unix:{}", path.display());
    let hung = UnixListener::bind(&path).expect("the place is free");
    let _queue: Vec<_> = std::iter::from_fn(|| connect_now(&path)).collect();
    let mut refused = vec![Program::start(&mut command(&["--listen", &listen]))];
    refused[0].wait();
    drop(hung);
    fs::remove_file(&path).expect("it is ours");
    let _datagrams = UnixDatagram::bind(&path).expect("the place is free");
    refused.push(Program::start(&mut command(&["--listen", &listen])));
    for mut program in refused {
        assert_eq!(program.wait(), End::Exited(1));
        assert!(program.wait_all().contains("it is taken"), "{}", program.output());
        assert!(path.exists());
    }
}

/// A connection, until the queue is full.
fn connect_now(path: &Path) -> Option<Socket> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None).expect("there are descriptors");
    socket.connect(&SockAddr::unix(path).expect("a short path")).ok().map(|()| socket)
}

#[test]
fn a_relative_path_is_resolved_once() {
    let (directory, path) = place();
    let work = directory.path().join("work");
    fs::create_dir(&work).expect("our own directory");
    let mut command = command(&["--listen", "unix:../socket"]);
    let mut program = Program::start(command.current_dir(&work));
    assert_eq!(program.listening(), format!("unix:{}", path.display()));
    fs::remove_dir(&work).expect("it is empty");
    program.signal(Signal::SIGTERM);
    assert_eq!(program.wait(), End::Exited(0));
    assert!(!path.exists(), "the socket file outlived the server");
}
