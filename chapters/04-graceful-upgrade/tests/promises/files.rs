//! Files that outlive a process: the paths of unix sockets.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use testkit::{Generations, await_exit, hold};

use crate::server::{BINARY, deployment, unix};

/// Starts the program on a unix socket and, behind it, a TCP port.
fn start_on(path: &Path, more: &[&str]) -> Generations {
    let mut command = Command::new(BINARY);
    Generations::start(command.args(["--listen", &unix(path), "--listen", "127.0.0.1:0"]).args(more), 2)
}

#[test]
fn the_path_of_a_unix_socket_stays_until_its_last_owner_ends() {
    let deployment = deployment();
    let path = deployment.socket();
    let mut server = start_on(&path, &["--drain-timeout", "1h"]);
    let inode = path.metadata().unwrap().ino();

    let mut held = hold(server.address());
    let first = server.upgrade();
    held.send("rest.");
    held.reply();
    await_exit(first);
    assert_eq!(path.metadata().expect("the old process left the path").ino(), inode, "and it is the same socket");
    server.assert_answered_by(2);

    server.stop();
    assert!(!path.exists(), "the last owner removes the path");
}

#[test]
fn a_path_that_belongs_to_another_process_by_now_is_left_alone() {
    let deployment = deployment();
    let path = deployment.socket();
    let mut server = start_on(&path, &[]);
    await_exit(server.upgrade());
    fs::remove_file(&path).unwrap();
    fs::write(&path, "not a socket").unwrap();
    server.stop();
    assert_eq!(fs::read_to_string(&path).unwrap(), "not a socket");
}

/// Puts the socket of another process in the place of ours.
fn rebind(path: &Path) -> UnixListener {
    fs::remove_file(path).expect("our server has bound it");
    UnixListener::bind(path).expect("the path is free")
}

#[test]
fn a_successor_does_not_take_another_socket_for_the_one_it_inherited() {
    let deployment = deployment();
    let path = deployment.socket();
    let mut server = start_on(&path, &[]);
    let _theirs = rebind(&path);
    await_exit(server.upgrade());
    server.stop();
    assert!(path.exists(), "it removed a file that no generation has bound");
}

#[test]
fn a_process_that_comes_back_does_not_take_another_socket_for_its_own() {
    let deployment = deployment();
    let path = deployment.socket();
    let mut server = start_on(&path, &["--drain-timeout", "1h"]);
    let held = hold(server.address());
    let first = server.upgrade();
    let _theirs = rebind(&path);
    kill(server.serving, Signal::SIGKILL).unwrap();
    (server.serving, server.generation) = (first, 0);
    server.next_generation(2);
    drop(held);
    server.stop();
    assert!(path.exists(), "it removed a file that no generation has bound");
}
