//! What cannot be started gets one sentence and exit status 1, and leaves nothing behind.

use std::net::TcpListener;
use std::os::fd::AsRawFd as _;
use std::path::Path;
use std::process::Command;

use inherited_fds::PassedFds;
use nix::sys::socket::{MsgFlags, send};
use testkit::Program;

use crate::server::{BINARY, deployment, unix};

/// Runs the program and asserts that it refuses with exactly one line that says `sentence`.
#[track_caller]
fn assert_refused(command: &mut Command, sentence: &str) {
    let output = command.output().expect("the program is there");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.starts_with("error: ") && stderr.lines().count() == 1, "there should be one line: {stderr}");
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
    assert_refused(&mut program(&["--listen", &unix(&socket), "--listen", &taken]), &taken);
    assert!(!socket.exists(), "the first address was bound, and should be given back");
}

#[test]
fn what_cannot_have_the_descriptors_that_it_needs_leaves_nothing_behind() {
    let deployment = deployment();
    let socket = deployment.socket();
    // Each server may have one more, and gets one step further, until one has enough.
    for limit in 4..100 {
        let script = format!("ulimit -n {limit}; exec '{BINARY}' \"$@\"");
        let mut command = Command::new("sh");
        let mut program = Program::start(command.args(["-c", &script, "sh", "--listen", &unix(&socket)]));
        if program.try_line("listening").is_ok() {
            return;
        }
        let code = program.wait().code();
        assert_eq!(code, 1, "with {limit} descriptors: {}", program.output());
        assert!(
            program.wait_all().contains("(ulimit -") || program.output().contains(": ulimit -n"),
            "{}",
            program.output()
        );
        assert!(!socket.exists(), "with {limit} descriptors: {}", program.output());
    }
    panic!("it does not start with 99 descriptors either");
}

#[test]
fn a_handshake_that_no_generation_sends() {
    let last = format!(r#"{{"handshake":{{"generation":{},"older":1,"files":{{}}}}}}"#, u64::MAX);
    for handshake in ["", "nonsense", r#""activate""#, r#"{"handshake":{}}"#, &last] {
        let mut passed = PassedFds::new();
        let channel = passed.add_channel("predecessor").expect("there are descriptors left");
        if !handshake.is_empty() {
            send(channel.as_raw_fd(), handshake.as_bytes(), MsgFlags::empty()).expect("there is room");
        }
        let mut child = passed.spawn(Path::new(BINARY), &["--listen=127.0.0.1:0".into()]).expect("it is there");
        assert_eq!(child.wait().expect("it is ours").code(), Some(1), "{handshake:?}");
    }
}

#[test]
fn descriptors_that_are_meant_for_another_process() {
    assert_refused(program(&[]).env("LISTEN_FDS", "abc"), "LISTEN_FDS");
    assert_refused(program(&[]).env("LISTEN_FDS", "1"), "descriptor 3");
    assert_refused(program(&[]).env("LISTEN_FDS", "1").env("LISTEN_PID", "1"), "LISTEN_PID");
}
