//! Files that outlive a process: the paths of unix sockets.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use testkit::{Deployment, Generations, await_exit, freeze, hold, is_in_mask, thaw, wait_until};

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

/// Starts the program on these addresses, then upgrades it twice to a version that lists them in this order, and stops it.
#[track_caller]
fn assert_keeps_its_files(first: &[&str], then: &[&str], files: &[&Path]) {
    let deployment = deployment();
    let listen =
        |addresses: &[&str]| addresses.iter().flat_map(|it| ["--listen", it]).map(str::to_owned).collect::<Vec<_>>();
    let mut server = Generations::start(Command::new(deployment.server()).args(listen(first)), first.len());
    deployment.put_script(&format!("exec '{BINARY}' {}", listen(then).join(" ")));
    for _ in 0..2 {
        await_exit(server.upgrade());
        assert!(files.iter().all(|file| file.exists()), "a file is gone: {files:?}");
    }
    server.stop();
    let log = server.program.wait_all();
    assert!(!log.contains("WARN") && !log.contains("ERROR"), "nothing is wrong, so the log should not warn:\n{log}");
    assert!(files.iter().all(|file| !file.exists()), "a file was left behind: {files:?}");
}

#[test]
fn the_files_of_sockets_that_a_new_version_lists_in_another_order_are_each_their_own() {
    let deployment = deployment();
    let (public, admin) = (deployment.socket().with_file_name("pub"), deployment.socket().with_file_name("adm"));
    let (one, two) = (unix(&public), unix(&admin));
    assert_keeps_its_files(&[&one, &two], &[&two, &one], &[&public, &admin]);
    // It must be an address that both versions can name.
    let tcp = std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).unwrap().to_string();
    assert_keeps_its_files(&[&tcp, &one], &[&one, &tcp], &[&public]);
}

#[test]
fn a_successor_that_was_killed_leaves_nothing_that_keeps_the_next_one_from_its_place() {
    let deployment = deployment();
    let path = deployment.socket();
    let mut server = deployment.start(&[]);
    let more = format!("--listen {}", unix(&path));
    let gate = deployment.put_gate(&more);
    server.signal(Signal::SIGUSR2);
    let line = server.program.line("upgrading");
    let successor = testkit::field(&line, "successor").and_then(|pid| pid.parse().ok()).map(nix::unistd::Pid::from_raw);
    let successor = successor.expect("the line names the process that was started");
    freeze(server.serving);
    gate.open();
    wait_until("the successor has bound it", || path.exists() && is_in_mask(successor, "SigCgt", Signal::SIGUSR2));
    kill(successor, Signal::SIGKILL).unwrap();
    thaw(server.serving);
    server.program.line("upgrade failed");
    assert!(path.exists(), "a process that is killed removes nothing");

    deployment.put_script(&format!("exec '{BINARY}' \"$@\" {more}"));
    let first = server.serving;
    server.signal(Signal::SIGUSR2);
    server.next_generation(2);
    await_exit(first);
    assert!(testkit::Wire::connect(&unix(&path)).ask("/").text().ends_with("generation 2\n"));
    server.stop();
    assert!(!path.exists());
}

/// Starts the program in a directory beside the socket's.
fn start_in(deployment: &Deployment, listen: &str) -> (Generations, PathBuf) {
    let directory = deployment.socket().with_file_name("work");
    fs::create_dir(&directory).expect("our own directory");
    let mut command = Command::new(deployment.server());
    (Generations::start(command.args(["--listen", listen]).current_dir(&directory), 1), directory)
}

#[track_caller]
fn assert_upgrades_and_removes(mut server: Generations, path: &Path) {
    for generation in 2..=3 {
        await_exit(server.upgrade());
        assert_eq!(server.addresses, [unix(path)]);
        server.assert_answered_by(generation);
    }
    server.stop();
    let log = server.program.wait_all();
    assert!(!path.exists() && !log.contains("WARN"), "a file was left behind, or missed:\n{log}");
}

#[test]
fn a_relative_path_means_the_same_file_when_the_working_directory_was_deleted_or_moved() {
    for moved in [false, true] {
        let deployment = deployment();
        let (server, directory) = start_in(&deployment, "unix:../socket");
        let elsewhere = directory.with_file_name("moved");
        if moved { fs::rename(&directory, elsewhere) } else { fs::remove_dir(&directory) }.expect("it is ours");
        assert_upgrades_and_removes(server, &deployment.socket());
    }
}

#[test]
fn a_relative_path_means_the_same_file_when_a_new_version_starts_elsewhere() {
    let deployment = deployment();
    let (mut server, directory) = start_in(&deployment, "unix:socket");
    let (path, more) = (directory.join("socket"), deployment.socket());
    // Also one that only the new version has.
    deployment.put_script(&format!("cd /; exec '{BINARY}' \"$@\" --listen unix:../socket"));
    server.addresses.push(unix(&more));
    for _ in 0..2 {
        let old = server.serving;
        server.signal(Signal::SIGUSR2);
        assert_eq!(server.next_generation(2), [unix(&path), unix(&more)]);
        await_exit(old);
    }
    server.stop();
    server.program.wait_all();
    assert!(!path.exists() && !more.exists(), "a file was left behind");
}

#[test]
fn a_new_version_may_write_a_path_another_way() {
    let deployment = deployment();
    let path = deployment.socket();
    symlink(path.parent().unwrap(), path.with_file_name("link")).unwrap();
    let (server, _) = start_in(&deployment, "unix:../link/socket");
    deployment.put_script(&format!("exec '{BINARY}' --listen unix:./../work/.././socket"));
    assert_upgrades_and_removes(server, &path.with_file_name("link").join("socket"));
}
