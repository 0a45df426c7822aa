//! Unix sockets: served as TCP is, and the file goes when the server goes; but never a file of another process.

use std::fs;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use nix::sys::signal::Signal;
use tempfile::TempDir;
use testkit::{End, Wire};

use crate::server::Server;

/// A place for a socket; it goes with the directory.
fn place() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("there is room in /tmp");
    let path = directory.path().join("socket");
    (directory, path)
}

fn start(path: &std::path::Path, options: &[&str]) -> Server {
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
