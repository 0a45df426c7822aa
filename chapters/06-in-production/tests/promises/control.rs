//! The control socket: the caller that asks for an upgrade hears how it ended, and exit status 0 means that it went well.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use testkit::{Deployment, Generations, Wire, await_exit, wait_until};

use crate::server::deployment;

/// The command.
const GRACEFUL: &str = env!("CARGO_BIN_EXE_graceful");

/// A deployed server with a control socket.
pub(crate) struct Controlled {
    pub(crate) deployment: Deployment,
    pub(crate) server: Generations,
    pub(crate) path: PathBuf,
}

/// Starts one.
pub(crate) fn controlled(more: &[&str]) -> Controlled {
    let deployment = deployment();
    let path = deployment.socket();
    let options = [&["--control", path.to_str().expect("our own path")], more].concat();
    let server = deployment.start(&options);
    Controlled { deployment, server, path }
}

impl Controlled {
    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(GRACEFUL);
        command.arg("--control").arg(&self.path).args(words).env_remove("CONTROL");
        command
    }

    /// Runs the command to its end.
    pub(crate) fn ask(&self, words: &[&str]) -> Output {
        self.command(words).output().expect("the command was built with the tests")
    }

    /// Starts it.
    pub(crate) fn begin(&self, words: &[&str]) -> Child {
        let mut command = self.command(words);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the command was built with the tests")
    }

    /// What `status --json` says.
    pub(crate) fn status(&self) -> serde_json::Value {
        let output = self.ask(&["status", "--json"]);
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
    }
}

#[track_caller]
pub(crate) fn assert_succeeds(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Asserts status 1 and one sentence on stderr, and returns the sentence.
#[track_caller]
pub(crate) fn assert_fails(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let sentence = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(sentence.lines().count(), 1, "one sentence: {sentence:?}");
    sentence
}

#[test]
fn an_upgrade_returns_when_the_new_process_serves_and_says_how_long_it_took() {
    let mut service = controlled(&[]);
    for generation in 2..5 {
        let said = assert_succeeds(&service.ask(&["upgrade"]));
        let lines: Vec<_> = said.lines().collect();
        assert!(lines[0].starts_with("ready after ") && lines[1].starts_with("accepting after "), "{said}");
        assert_eq!(lines[2..], [format!("generation {generation} serves")], "{said}");
        service.server.next_generation(1);
        service.server.assert_answered_by(generation);
    }
    let status = service.status();
    assert_eq!(status["generation"], 4);
    assert_eq!(status["pid"], service.server.serving.as_raw());
    assert_eq!(status["state"], "serving");
    assert!(assert_succeeds(&service.ask(&["status"])).starts_with("generation 4, pid "));
}

#[test]
fn a_failed_upgrade_is_an_exit_status_and_a_reason() {
    let mut service = controlled(&["--ready-timeout", "300ms"]);
    let good = service.deployment.server();
    for (program, reason) in [("exit 7", "exited with status 7"), ("sleep 60", "was not ready within 300ms")] {
        service.deployment.put_script(program);
        let sentence = assert_fails(&service.ask(&["upgrade"]));
        assert!(sentence.starts_with("error: the upgrade failed: ") && sentence.contains(reason), "{sentence}");
        service.server.assert_answered_by(1);
    }
    fs::remove_file(good).expect("it is ours");
    let sentence = assert_fails(&service.ask(&["upgrade", "--until", "ready"]));
    assert!(sentence.contains("No such file"), "{sentence}");
    service.deployment.put_binary();
    assert_succeeds(&service.ask(&["upgrade"]));
    service.server.next_generation(1);
    service.server.assert_answered_by(2);
}

#[test]
fn deploys_that_come_during_another_one_are_remembered_and_run_once() {
    let mut service = controlled(&[]);
    let gate = service.deployment.put_gate("");
    let first = service.begin(&["upgrade"]);
    service.server.program.line("started");
    let others: Vec<_> = (0..3).map(|_| service.begin(&["upgrade"])).collect();
    // The three are heard before the first upgrade goes on.
    let status = || service.status()["waiting"].as_u64();
    wait_until("four callers wait", || status() == Some(4));
    service.deployment.put_binary();
    gate.open();
    for child in [first].into_iter().chain(others) {
        assert_succeeds(&child.wait_with_output().expect("it ends"));
    }
    service.server.next_generation(1);
    service.server.next_generation(1);
    assert_eq!(service.status()["generation"], 3, "three deploys that waited share one upgrade");
    service.server.assert_answered_by(3);
}

#[test]
fn a_deploy_that_waits_for_one_that_fails_runs_in_the_same_process() {
    let mut service = controlled(&[]);
    let gate = service.deployment.put_gate("--no-such-option");
    let first = service.begin(&["upgrade"]);
    service.server.program.line("started");
    let second = service.begin(&["upgrade"]);
    wait_until("two callers wait", || service.status()["waiting"].as_u64() == Some(2));
    service.deployment.put_binary();
    gate.open();
    assert_fails(&first.wait_with_output().expect("it ends"));
    assert_succeeds(&second.wait_with_output().expect("it ends"));
    service.server.next_generation(1);
    service.server.assert_answered_by(2);
}

#[test]
fn a_stop_returns_when_the_process_is_gone() {
    let mut service = controlled(&[]);
    assert_succeeds(&service.ask(&["upgrade"]));
    service.server.next_generation(1);
    let said = assert_succeeds(&service.ask(&["stop"]));
    assert_eq!(said, "generation 2 stops\nstopped\n");
    await_exit(service.server.serving);
    let sentence = assert_fails(&service.ask(&["status"]));
    assert!(sentence.contains("no service answers at"), "{sentence}");
    assert!(!service.path.exists(), "the last process should remove the socket");
}

/// An old generation that drains for long ends with the service: its request is cut when the stop's time is up.
#[test]
fn a_stop_ends_the_generations_that_still_drain() {
    let mut service = controlled(&["--drain-timeout", "1h", "--stop-timeout", "300ms"]);
    let first = service.server.serving;
    let mut slow = Wire::connect(service.server.address());
    slow.get("/stream?chunks=2&interval=1h");
    slow.wait_for("\r\n\r\n");
    assert_succeeds(&service.ask(&["upgrade", "--until", "ready"]));
    service.server.next_generation(1);
    assert_succeeds(&service.ask(&["stop"]));
    await_exit(service.server.serving);
    await_exit(first);
}

/// Those that send with `nc -N` or `socat`.
#[test]
fn a_caller_that_has_closed_its_sending_side_is_answered() {
    let mut service = controlled(&[]);
    let mut stream = UnixStream::connect(&service.path).expect("it listens");
    stream.write_all(b"{\"upgrade\":{}}\n\n").expect("it takes that");
    stream.shutdown(std::net::Shutdown::Write).expect("it is connected");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("it is answered");
    assert!(text.ends_with("{\"done\":\"generation 2 serves\"}\n"), "{text}");
    service.server.next_generation(1);
}

#[test]
fn the_socket_is_its_owners_alone() {
    let service = controlled(&[]);
    let mode = fs::metadata(&service.path).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn nonsense_gets_a_sentence_and_changes_nothing() {
    let service = controlled(&[]);
    let long = [b'x'; 5000];
    for (sent, answer) in [
        (&b"{\"upgrade\":{\"until\":\"never\"}}\n"[..], "unknown variant `never`"),
        (b"\"restart\"\n", "unknown variant `restart`"),
        (b"\xff\xfe\n", "this is not a request"),
        (b"{\"upgrade\":\n", "this is not a request"),
        (b"\n", "this is not a request"),
        (b"{\"status\"", "the request has no end"),
        (&long, "4096 bytes at most"),
    ] {
        let mut stream = UnixStream::connect(&service.path).expect("it listens");
        stream.write_all(sent).expect("it takes that");
        stream.shutdown(std::net::Shutdown::Write).expect("it is connected");
        let mut text = String::new();
        // `Err`: reset, because it was not read to its end; the answer came before.
        let _ = stream.read_to_string(&mut text);
        assert!(
            text.starts_with("{\"failed\":\"") && text.contains(answer),
            "{:?}: {text:?}",
            sent.escape_ascii().to_string()
        );
    }
    assert_eq!(service.status()["generation"], 1);
}

/// Bytes that are nearly a request, and bytes that are nothing: none ends the service or changes it.
#[test]
fn hostile_bytes_change_nothing() {
    let service = controlled(&[]);
    let requests =
        [&b"{\"upgrade\":{\"until\":\"ready\",\"since\":3}}\n"[..], b"\"status\"\n", b"\"metrics\"\n", b"\"stop\"\n"];
    let mut random = fastrand::Rng::with_seed(6);
    for _ in 0..500 {
        let mut bytes = requests[random.usize(..requests.len())].to_vec();
        for _ in 0..random.usize(1..8) {
            let place = random.usize(..bytes.len());
            match random.u8(..3) {
                0 => bytes[place] = random.u8(..),
                1 => bytes.truncate(place.max(1)),
                _ => bytes.insert(place, random.u8(..)),
            }
        }
        // What is left of an upgrade or a stop would do what it says.
        let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
        if serde_json::from_slice::<graceful::control::Request>(line).is_ok() {
            continue;
        }
        let mut stream = UnixStream::connect(&service.path).expect("it listens");
        // `Err`: it has heard enough.
        let _ = stream.write_all(&bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let _ = stream.read_to_end(&mut Vec::new());
    }
    assert_eq!(service.status()["generation"], 1);
    assert_eq!(service.status()["state"], "serving");
}

#[test]
fn callers_that_say_nothing_hold_up_nothing() {
    let mut service = controlled(&[]);
    let silent: Vec<_> = (0..100).map(|_| UnixStream::connect(&service.path).expect("it listens")).collect();
    assert_succeeds(&service.ask(&["upgrade"]));
    let first = service.server.serving;
    service.server.next_generation(1);
    await_exit(first);
    drop(silent);
}
