//! What the program cannot start with: one sentence on stderr, status 1, nothing left behind.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use testkit::{End, Program};

use crate::server::{BINARY, command, deployment};

/// The program refuses, in one line with these words.
#[track_caller]
pub(crate) fn assert_refused(command: &mut Command, words: &[&str]) {
    let mut program = Program::start(command);
    let end = program.wait();
    let said = program.wait_all();
    assert_eq!(end, End::Exited(1), "{command:?} should be refused with status 1: {said}");
    assert!(said.starts_with("error: ") && said.lines().count() == 1, "this should be one error line: {said:?}");
    for word in words {
        assert!(said.contains(word), "the sentence should contain {word:?}: {said:?}");
    }
}

#[test]
fn a_pid_file_in_no_directory_is_refused_and_nothing_is_left_behind() {
    let deployment = deployment();
    let socket = deployment.socket();
    let unix = format!("unix:{}", socket.display());
    let options = ["--listen", &unix, "--pid-file", "/no/such/directory/pid"];
    let words = ["/no/such/directory/pid", "No such file or directory", "--pid-file"];
    assert_refused(&mut command(BINARY, &options), &words);
    assert!(!socket.exists(), "the address was bound, and should be given back");
}

#[test]
fn a_pid_file_that_would_replace_something_else_is_refused() {
    let deployment = deployment();
    let fifo = deployment.path().join("fifo");
    mkfifo(&fifo, Mode::S_IRWXU).expect("our own directory");
    let directory = deployment.path().to_str().expect("our own path");
    for path in [directory, &format!("{directory}/"), fifo.to_str().expect("our own path"), "/dev/null"] {
        let path_without_slash = path.trim_end_matches('/');
        assert_refused(&mut command(BINARY, &["--pid-file", path]), &[path_without_slash, "is not a file"]);
    }
    let left = fs::read_dir(directory).expect("it is there").count();
    assert_eq!(left, 2, "the program and the pipe, and nothing else, should be there");
}

#[test]
fn a_pid_file_without_a_name_is_refused() {
    for path in ["/", "..", "/tmp/.."] {
        assert_refused(&mut command(BINARY, &["--pid-file", path]), &[&format!("{path:?}"), "no name of a file"]);
    }
    assert_refused(&mut command(BINARY, &["--pid-file", ""]), &["--pid-file"]);
    assert_refused(&mut command(BINARY, &["--pid-file", &format!("/tmp/{}", "x".repeat(256))]), &["too long"]);
}

#[test]
fn a_pid_file_where_we_may_not_write_is_refused() {
    assert_refused(&mut command(BINARY, &["--pid-file", "/proc/pid"]), &["/proc/pid", "cannot write the pid file"]);
    let deployment = deployment();
    let socket = deployment.socket();
    let directory = socket.parent().expect("it is in a directory");
    let (server, pid) = (directory.join("server"), directory.join("pid"));
    // Not written from here: a child of another test could hold it open for writing, and then it cannot be executed.
    let installed = Command::new("install").arg("-m755").args([Path::new(BINARY), &server]).status();
    assert!(installed.expect("coreutils are there").success());
    fs::set_permissions(directory, fs::Permissions::from_mode(0o555)).expect("our own directory");
    let mut command = command(&server, &["--pid-file", pid.to_str().expect("our own path")]);
    if nix::unistd::geteuid().is_root() {
        // Root may write everywhere, and this user nowhere.
        command.uid(65_534);
    }
    assert_refused(&mut command, &["Permission denied"]);
    fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).expect("our own directory");
}

#[test]
fn an_address_that_is_taken_leaves_no_pid_file() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("any port will do");
    let taken = taken.local_addr().expect("it is bound").to_string();
    let deployment = deployment();
    let path = deployment.path().join("pid");
    let options = ["--listen", &taken, "--pid-file", path.to_str().expect("our own path")];
    assert_refused(&mut command(BINARY, &options), &[&taken, "it is taken"]);
    let left = fs::read_dir(deployment.path()).expect("it is there").count();
    assert_eq!(left, 1, "the program, and nothing else, should be there");
}

#[test]
fn a_handover_that_is_neither_on_nor_off_is_refused() {
    for value in ["yes", "", "ON", "0"] {
        assert_refused(&mut command(BINARY, &[&format!("--handover={value}")]), &["--handover", "on, off"]);
        assert_refused(command(BINARY, &[]).env("HANDOVER", value), &["--handover", "on, off"]);
    }
}

#[test]
fn options_of_the_other_chapters_are_refused_as_there() {
    assert_refused(&mut command(BINARY, &["--listen", "nowhere"]), &["HOST:PORT"]);
    assert_refused(&mut command(BINARY, &["--ready-timeout", "soon"]), &["write a duration as"]);
    assert_refused(&mut command(BINARY, &["--upgrade-now"]), &["--upgrade-now", "--help"]);
    assert_refused(command(BINARY, &[]).env("LISTEN_FDS", "1"), &["LISTEN_FDS promises it"]);
}

#[test]
fn a_server_that_cannot_have_the_descriptors_that_it_needs_leaves_nothing_behind() {
    let deployment = deployment();
    let (socket, pid_file) = (deployment.socket(), deployment.path().join("pid"));
    // Each process has one more, and comes one step further, until one has enough.
    for limit in 4..100 {
        let script = format!("ulimit -n {limit}; exec {BINARY} \"$@\"");
        let mut command = command("sh", &["-c", &script, "sh", "--pid-file"]);
        let mut program =
            Program::start(command.arg(&pid_file).args(["--listen", &format!("unix:{}", socket.display())]));
        if program.try_line("listening").is_ok() {
            return;
        }
        // 101: tokio panics where it lacks descriptors for signals, which it wants only if the whole workspace is built
        // at once, because a neighbour uses them.
        let code = program.wait().code();
        assert!(code == 1 || code == 101 && program.output().contains("/tokio-"), "{code}: {}", program.output());
        assert!(!socket.exists() && !pid_file.exists(), "with {limit} descriptors: {}", program.output());
    }
    panic!("it does not start with 99 descriptors either");
}
