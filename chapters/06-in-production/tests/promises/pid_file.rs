//! The pid file: a signal that is sent to the pid in it concerns the service, at any moment.

use std::fs;
use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use testkit::{Deployment, Generations, await_exit, await_refusal, freeze, hold, let_go, thaw, wait_until};

use crate::server::{BINARY, command, deployment, frozen_in_an_upgrade, start};

/// A directory in the deployment with the pid file in it, and nothing else.
fn place(deployment: &Deployment) -> PathBuf {
    let directory = deployment.path().join("run");
    fs::create_dir(&directory).expect("our own directory");
    directory.join("pid")
}

fn with_pid_file(path: &Path) -> [&str; 2] {
    ["--pid-file", path.to_str().expect("our own path")]
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("there should always be a pid file: {error}"))
}

#[track_caller]
fn assert_names(path: &Path, pid: Pid) {
    assert_eq!(read(path), format!("{pid}\n"), "the pid file should name the process that accepts, {pid}");
}

/// What lies beside the pid file, itself included.
fn files(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path.parent().expect("it is in a directory")).expect("the directory is there");
    entries.map(|entry| entry.expect("it is there").file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn it_names_the_process_that_serves_in_each_generation_and_is_gone_at_the_end() {
    let deployment = deployment();
    let path = place(&deployment);
    let mut server = deployment.start(&with_pid_file(&path));
    assert_names(&path, server.serving);
    for _ in 0..20 {
        // The old one ends at once. It must not take the file with it that the new one has written, or is about to.
        let old = server.upgrade();
        await_exit(old);
        assert_names(&path, server.serving);
    }
    assert_eq!(files(&path), ["pid"], "a file was left beside the pid file");
    server.stop();
    assert!(files(&path).is_empty(), "the last process should remove it: {:?}", files(&path));
}

#[test]
fn a_failed_upgrade_changes_nothing() {
    let deployment = deployment();
    let path = place(&deployment);
    let mut server = deployment.start(&with_pid_file(&path));
    deployment.put_script("exit 7");
    server.upgrade_in_vain();
    assert_names(&path, server.serving);
    server.stop();
    assert!(files(&path).is_empty(), "{:?}", files(&path));
}

#[test]
fn until_the_successor_accepts_it_names_the_old_process() {
    let deployment = deployment();
    let path = place(&deployment);
    let (mut server, successor) = frozen_in_an_upgrade(&deployment, &with_pid_file(&path));
    assert_names(&path, server.serving);
    freeze(successor);
    thaw(server.serving);
    // The old process has retired, and the new one does not know that it is its turn.
    server.program.line("draining");
    assert_names(&path, server.serving);
    assert!(
        server.program.is_running(),
        "it has nothing to do any more, and yet the pid file should name no dead process"
    );
    let first = server.serving;
    thaw(successor);
    server.next_generation(1);
    assert_names(&path, successor);
    await_exit(first);
    assert_names(&path, successor);
    server.stop();
    assert!(files(&path).is_empty(), "{:?}", files(&path));
}

/// A check that the file names us, and its removal, are two steps: the successor could write its pid in between.
#[test]
fn a_process_that_was_replaced_leaves_the_file_to_its_successor() {
    let deployment = deployment();
    let path = place(&deployment);
    let options = [&with_pid_file(&path)[..], &["--drain-timeout", "100ms"]].concat();
    let (mut server, successor) = frozen_in_an_upgrade(&deployment, &options);
    freeze(successor);
    thaw(server.serving);
    // It waits for its successor, until its deadline.
    server.program.wait();
    assert_names(&path, server.serving);
    thaw(successor);
    server.next_generation(1);
    assert_names(&path, successor);
    server.stop();
    assert!(files(&path).is_empty(), "{:?}", files(&path));
}

#[test]
fn a_process_that_comes_back_is_named_again() {
    let deployment = deployment();
    let path = place(&deployment);
    let mut server = deployment.start(&[&with_pid_file(&path)[..], &["--drain-timeout", "1h"]].concat());
    let first = server.serving;
    let held = hold(server.address());
    server.upgrade();
    assert_names(&path, server.serving);
    kill(server.serving, Signal::SIGKILL).expect("it serves");
    (server.serving, server.generation) = (first, 0);
    server.next_generation(1);
    assert_names(&path, first);
    let_go(held);
    await_exit(server.upgrade());
    assert_names(&path, server.serving);
    server.stop();
    assert!(files(&path).is_empty(), "{:?}", files(&path));
}

/// The process that it names is asked to stop just when its successor is ready: both messages wait for it.
#[test]
fn a_stop_by_the_pid_file_in_the_middle_of_an_upgrade_stops_the_service() {
    for _ in 0..20 {
        let deployment = deployment();
        let path = place(&deployment);
        let (mut server, _) = frozen_in_an_upgrade(&deployment, &with_pid_file(&path));
        let named = Pid::from_raw(read(&path).trim_end().parse().expect("a whole pid"));
        kill(named, Signal::SIGTERM).expect("the process in the file is there");
        thaw(server.serving);
        assert_eq!(server.program.wait().code(), 0, "{}", server.program.output());
        server.program.wait_all();
        await_refusal(server.address());
        assert!(files(&path).is_empty(), "{:?}", files(&path));
    }
}

/// The old process has retired, and the new one does not know yet that it is its turn.
#[test]
fn a_stop_by_the_pid_file_before_the_successor_accepts_stops_the_service() {
    let deployment = deployment();
    let path = place(&deployment);
    let (mut server, successor) = frozen_in_an_upgrade(&deployment, &with_pid_file(&path));
    freeze(successor);
    thaw(server.serving);
    server.program.line("draining");
    assert_names(&path, server.serving);
    server.signal(Signal::SIGTERM);
    assert_eq!(server.program.wait().code(), 0, "{}", server.program.output());
    thaw(successor);
    server.program.wait_all();
    await_refusal(server.address());
    assert!(files(&path).is_empty(), "{:?}", files(&path));
}

#[test]
fn a_stop_of_the_successor_before_it_is_named_stops_the_service() {
    let deployment = deployment();
    let path = place(&deployment);
    let (mut server, successor) = frozen_in_an_upgrade(&deployment, &with_pid_file(&path));
    kill(successor, Signal::SIGTERM).expect("it waits for its turn");
    thaw(server.serving);
    server.program.wait();
    server.program.wait_all();
    await_refusal(server.address());
    assert!(files(&path).is_empty(), "{:?}", files(&path));
}

#[test]
fn it_is_only_ever_seen_whole() {
    let deployment = deployment();
    let path = place(&deployment);
    let mut server = deployment.start(&with_pid_file(&path));
    std::thread::scope(|scope| {
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let path = &path;
        let reader = scope.spawn(move || {
            let mut reads = 0;
            while stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
                let text = read(path);
                let pid = text.strip_suffix('\n').and_then(|pid| pid.parse::<i32>().ok());
                assert!(pid.is_some(), "half a pid file: {text:?}");
                reads += 1;
            }
            reads
        });
        for _ in 0..20 {
            await_exit(server.upgrade());
        }
        drop(stop);
        let reads = reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        assert!(reads > 20, "it was read {reads} times only");
    });
    server.stop();
}

#[test]
fn one_that_another_process_has_written_stays() {
    let deployment = deployment();
    let path = place(&deployment);
    let mut server = deployment.start(&with_pid_file(&path));
    fs::write(&path, "1\n").expect("our own directory");
    server.stop();
    assert_eq!(read(&path), "1\n", "the file was another process's by then");

    // And a start takes it over: it may be a stale one.
    let mut server = deployment.start(&with_pid_file(&path));
    assert_names(&path, server.serving);
    server.stop();
    assert!(files(&path).is_empty(), "{:?}", files(&path));
}

#[test]
fn it_can_come_from_the_environment() {
    let deployment = deployment();
    let path = place(&deployment);
    let mut command = command(BINARY, &["--listen", "127.0.0.1:0"]);
    let mut server = Generations::start(command.env("PID_FILE", &path), 1);
    assert_names(&path, server.serving);
    server.stop();
}

#[test]
fn a_server_without_one_writes_none() {
    let deployment = deployment();
    let path = place(&deployment);
    let mut command = command(BINARY, &["--listen", "127.0.0.1:0"]);
    let mut server = Generations::start(command.current_dir(path.parent().expect("it is in a directory")), 1);
    await_exit(server.upgrade());
    assert!(files(&path).is_empty(), "{:?}", files(&path));
    server.stop();
}

/// Starts the program with a path that is relative to a directory beside the pid file's.
fn start_in(deployment: &Deployment, path: &str) -> (Generations, PathBuf) {
    let directory = deployment.path().join("work");
    fs::create_dir(&directory).expect("our own directory");
    let mut command = command(deployment.server(), &["--listen", "127.0.0.1:0", "--pid-file", path]);
    (Generations::start(command.current_dir(&directory), 1), directory)
}

#[test]
fn a_relative_path_means_the_same_file_when_the_working_directory_was_deleted() {
    let deployment = deployment();
    let path = place(&deployment);
    let (mut server, directory) = start_in(&deployment, "../run/pid");
    assert_names(&path, server.serving);
    fs::remove_dir(&directory).expect("it is empty");
    for _ in 0..2 {
        await_exit(server.upgrade());
        assert_names(&path, server.serving);
    }
    server.stop();
    assert!(files(&path).is_empty(), "{:?}", files(&path));
}

#[test]
fn a_relative_path_means_the_same_file_when_a_new_version_starts_elsewhere() {
    let deployment = deployment();
    let path = place(&deployment);
    let (mut server, directory) = start_in(&deployment, "../run/pid");
    deployment.put_script(&format!("cd /; exec {BINARY} \"$@\""));
    for _ in 0..2 {
        await_exit(server.upgrade());
        assert_names(&path, server.serving);
    }
    server.stop();
    assert!(files(&path).is_empty(), "{:?}", files(&path));
    assert_eq!(fs::read_dir(directory).expect("it is there").count(), 0);
}

#[test]
fn a_new_version_may_put_it_elsewhere() {
    let deployment = deployment();
    let (path, other) = (place(&deployment), deployment.path().join("other-pid"));
    let mut server = deployment.start(&with_pid_file(&path));
    deployment.put_script(&format!("exec {BINARY} --listen {} --pid-file {}", server.address(), other.display()));
    await_exit(server.upgrade());
    assert_names(&other, server.serving);
    assert!(files(&path).is_empty(), "a file that names a dead process was left: {:?}", files(&path));
    server.stop();
    assert!(!other.exists());
}

/// From then on the file would name a process that drains: a stop that is sent there would not stop the service.
#[test]
fn when_a_new_version_without_one_accepts_the_file_is_gone() {
    let deployment = deployment();
    let path = place(&deployment);
    let mut server = deployment.start(&[&with_pid_file(&path)[..], &["--drain-timeout", "1h"]].concat());
    let first = server.serving;
    let held = hold(server.address());
    deployment.put_script(&format!("exec {BINARY} --listen {}", server.address()));
    server.upgrade();
    wait_until("the file is gone", || files(&path).is_empty());

    // If the new version is lost, the old process is in charge again, and named.
    kill(server.serving, Signal::SIGKILL).expect("it serves");
    (server.serving, server.generation) = (first, 0);
    server.next_generation(1);
    assert_names(&path, first);
    let_go(held);
    server.stop();
    assert!(files(&path).is_empty(), "{:?}", files(&path));
}

#[test]
fn a_pid_file_whose_directory_is_gone_does_not_end_a_server() {
    let deployment = deployment();
    let path = place(&deployment);
    let mut server = deployment.start(&with_pid_file(&path));
    fs::remove_dir_all(path.parent().expect("it is in a directory")).expect("our own directory");
    // A new version does not start without a place for it, and says why.
    server.signal(Signal::SIGUSR2);
    let line = server.program.line("cannot write the pid file");
    assert!(line.contains(path.to_str().expect("our own path")), "{line}");
    server.program.line("upgrade failed");
    server.assert_answered_by(1);
    server.stop();
}

#[test]
fn one_that_was_left_half_done_by_a_process_that_was_killed_is_no_obstacle() {
    let deployment = deployment();
    let path = place(&deployment);
    let mut server = start(&with_pid_file(&path));
    kill(server.serving, Signal::SIGKILL).expect("it serves");
    server.program.wait();
    assert_eq!(files(&path), ["pid"], "a killed process leaves its file, and nothing beside it");
    let mut server = deployment.start(&with_pid_file(&path));
    assert_names(&path, server.serving);
    server.stop();
    wait_until("the file is gone", || files(&path).is_empty());
}
