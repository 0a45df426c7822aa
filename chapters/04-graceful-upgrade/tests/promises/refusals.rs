//! What cannot be started gets one sentence and exit status 1, and leaves nothing behind.

use std::net::TcpListener;
use std::process::Command;

use lab::Program;

use crate::server::{BINARY, deployment};

/// Runs the program and asserts that it refuses with exactly one line that says `sentence`.
#[track_caller]
fn assert_refused(command: &mut Command, sentence: &str) {
    let output = command.output().expect("the program is there");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.starts_with("error: ") && stderr.lines().count() == 1, "one sentence, please: {stderr}");
    assert!(stderr.contains(sentence), "{stderr:?} should say {sentence:?}");
}

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    command.args(arguments);
    command
}

#[test]
fn options_that_make_no_sense() {
    assert_refused(&mut program(&["--listen", "nowhere"]), "HOST:PORT");
    assert_refused(&mut program(&["--ready-timeout", "soon"]), "write a duration as");
    assert_refused(&mut program(&["--upgrade-now"]), "--upgrade-now");
    assert_refused(program(&[]).env("DRAIN_TIMEOUT", "5"), "write a duration as");
    assert_refused(program(&[]).env("RUST_LOG", "a=b=c"), "RUST_LOG");
}

#[test]
fn addresses_that_cannot_be_had_leave_nothing_behind() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let deployment = deployment();
    let socket = deployment.socket();
    let unix = format!("unix:{}", socket.display());
    let pid_file = deployment.path().join("pid");
    let arguments = ["--listen", &unix, "--listen", &taken, "--pid-file", pid_file.to_str().unwrap()];
    assert_refused(&mut program(&arguments), &taken);
    assert!(!socket.exists(), "the first address was bound, and should be given back");
    assert!(!pid_file.exists());
}

#[test]
fn what_cannot_have_the_descriptors_that_it_needs_leaves_nothing_behind() {
    let deployment = deployment();
    let (socket, pid_file) = (deployment.socket(), deployment.path().join("pid"));
    // Each has one more, and comes one step further, until one has enough.
    for limit in 4..100 {
        let script = format!("ulimit -n {limit}; exec {BINARY} \"$@\"");
        let mut command = Command::new("sh");
        command.args(["-c", &script, "sh", "--listen", &format!("unix:{}", socket.display()), "--pid-file"]);
        let mut program = Program::start(command.arg(&pid_file));
        if program.try_line("listening").is_ok() {
            return;
        }
        // 101: tokio panics where it wants descriptors for signals, which it does if all of the workspace is built at once,
        // because a neighbour uses them.
        let code = program.wait().code();
        assert!(code == 1 || code == 101 && program.output().contains("/tokio-"), "{code}: {}", program.output());
        assert!(!socket.exists() && !pid_file.exists(), "with {limit} descriptors: {}", program.output());
    }
    panic!("it does not start with 99 descriptors either");
}

#[test]
fn a_pid_file_in_no_directory_leaves_nothing_behind() {
    let deployment = deployment();
    let socket = deployment.socket();
    let unix = format!("unix:{}", socket.display());
    assert_refused(
        &mut program(&["--listen", &unix, "--pid-file", "/no/such/directory/pid"]),
        "/no/such/directory/pid",
    );
    assert!(!socket.exists());
}

#[test]
fn descriptors_that_nobody_vouches_for() {
    assert_refused(program(&[]).env("LISTEN_FDS", "abc"), "LISTEN_FDS");
    assert_refused(program(&[]).env("LISTEN_FDS", "1"), "LISTEN_PID");
    assert_refused(program(&[]).env("LISTEN_FDS", "1").env("LISTEN_PID", "1"), "LISTEN_PID");
    let stolen = [("LISTEN_FDS", "1"), ("LISTEN_FDNAMES", "predecessor")];
    assert_refused(program(&[]).envs(stolen), "predecessor");
}
