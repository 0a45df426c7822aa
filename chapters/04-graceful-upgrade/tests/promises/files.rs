//! Files that outlive a process: the paths of unix sockets, and the pid file.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use lab::{Generations, Wire, await_exit};
use nix::sys::signal::{Signal, kill};

use crate::generations::hold;
use crate::server::{BINARY, deployment, get};

/// Starts the program on a unix socket and, behind it, a TCP port.
fn start_on(path: &Path, more: &[&str]) -> Generations {
    let unix = format!("unix:{}", path.display());
    let mut command = Command::new(BINARY);
    Generations::start(command.args(["--listen", &unix, "--listen", "127.0.0.1:0"]).args(more), 2)
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
fn a_path_that_is_somebody_elses_by_now_is_left_alone() {
    let deployment = deployment();
    let path = deployment.socket();
    let mut server = start_on(&path, &[]);
    await_exit(server.upgrade());
    fs::remove_file(&path).unwrap();
    fs::write(&path, "not a socket").unwrap();
    server.stop();
    assert_eq!(fs::read_to_string(&path).unwrap(), "not a socket");
}

/// Puts a socket of somebody else's in the place of ours.
fn rebind(path: &Path) -> UnixListener {
    fs::remove_file(path).expect("our server has bound it");
    UnixListener::bind(path).expect("the path is free")
}

#[test]
fn a_successor_does_not_take_somebody_elses_socket_for_the_one_it_inherited() {
    let deployment = deployment();
    let path = deployment.socket();
    let mut server = start_on(&path, &[]);
    let _theirs = rebind(&path);
    await_exit(server.upgrade());
    server.stop();
    assert!(path.exists(), "it removed a file that no generation has bound");
}

#[test]
fn a_process_that_comes_back_does_not_take_somebody_elses_socket_for_its_own() {
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

#[test]
fn a_listener_that_the_new_version_does_not_want_refuses_clients() {
    let deployment = deployment();
    let path = deployment.socket();
    let unix = format!("unix:{}", path.display());
    let mut command = Command::new(deployment.server());
    command.args(["--drain-timeout", "1h", "--listen", "127.0.0.1:0", "--listen", "127.0.0.1:0", "--listen", &unix]);
    let mut server = Generations::start(&mut command, 3);
    let first = server.serving;
    let mut held = hold(&server.addresses[1]);

    deployment.put_script(&format!("exec {BINARY} --listen {}", server.addresses[0]));
    server.signal(Signal::SIGUSR2);
    server.next_generation(1);
    server.assert_answered_by(2);
    for unwanted in &server.addresses[1..] {
        assert!(Wire::try_connect(unwanted).is_err(), "{unwanted} should refuse clients, not keep them waiting");
    }
    assert!(!path.exists());

    // And if the new version is lost, the old one has them again.
    kill(server.serving, Signal::SIGKILL).unwrap();
    server.generation = 0;
    server.next_generation(3);
    for address in &server.addresses {
        assert!(get(address, "/").ends_with("generation 1\n"));
    }
    held.send("rest.");
    held.reply();

    // A version that wants them all again finds them, and the end of the old process takes nothing from it.
    deployment.put_binary();
    (server.serving, server.generation) = (first, 1);
    await_exit(server.upgrade());
    for address in &server.addresses {
        assert!(get(address, "/").ends_with("generation 2\n"));
    }
    server.stop();
    assert!(!path.exists());
}

#[test]
fn a_new_version_may_listen_on_more() {
    let deployment = deployment();
    let mut server = deployment.start(&[]);
    deployment.put_script(&format!("exec {BINARY} --listen {} --listen 127.0.0.1:0", server.address()));
    server.signal(Signal::SIGUSR2);
    let addresses = server.next_generation(2);
    assert_eq!(addresses[0], server.addresses[0]);
    for address in addresses {
        assert!(get(&address, "/").ends_with("generation 2\n"));
    }
}

#[test]
fn the_pid_file_names_the_process_that_serves() {
    let deployment = deployment();
    let path = deployment.path().join("pid");
    let read = || fs::read_to_string(&path).unwrap();
    let mut server = deployment.start(&["--pid-file", path.to_str().unwrap()]);
    let first = server.serving;
    assert_eq!(read(), format!("{first}\n"));

    deployment.put_script("exit 7");
    server.upgrade_in_vain();
    assert_eq!(read(), format!("{first}\n"), "a failed upgrade changes nothing");

    deployment.put_binary();
    let mut held = hold(server.address());
    server.upgrade();
    assert_eq!(read(), format!("{}\n", server.serving));

    kill(server.serving, Signal::SIGKILL).unwrap();
    server.program.line("generation=1 ");
    assert_eq!(read(), format!("{first}\n"), "whoever comes back writes its pid again");
    held.send("rest.");
    held.reply();

    server.generation = 1;
    server.serving = first;
    await_exit(server.upgrade());
    assert_eq!(read(), format!("{}\n", server.serving), "the end of the old process leaves the file to the new one");
    server.stop();
    assert!(!path.exists(), "the last owner removes it");
    let left = fs::read_dir(deployment.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(left.into_iter().all(|name| name == "server" || name == "script"), "nothing else is left behind");
}
