//! The Go program that stands beside the Rust does what its page says.
//!
//! The invariant: what is tested is `book/go` as it is shown, built by the machine's own Go, without a network.

use std::path::Path;
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use testkit::{End, Program, Wire, await_exit, field, require_program};

use crate::golden::root;

/// Runs `go` with these arguments in the program's folder.
fn go(go: &Path, arguments: &[&str]) {
    let mut command = Command::new(go);
    command.args(arguments).current_dir(root().join("book/go")).env("GOPROXY", "off").env("GOFLAGS", "-mod=mod");
    // Kept, so that only the first run on a machine compiles the standard library.
    command.env("GOCACHE", Path::new(env!("CARGO_TARGET_TMPDIR")).join("go-cache"));
    let output = command.output().expect("it was found a moment ago");
    assert!(output.status.success(), "go {}\n{}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
}

/// The process that answers at `address`, and its generation. Each call is a connection of its own.
fn who_answers(address: &str) -> (Pid, u32) {
    let answer = Wire::connect(address).ask("/").text();
    let numbers = answer.trim().strip_prefix("hello from pid ").and_then(|rest| rest.split_once(", generation "));
    let (pid, generation) = numbers.unwrap_or_else(|| panic!("{answer:?} names no pid and generation"));
    (Pid::from_raw(pid.parse().expect("a pid is a number")), generation.parse().expect("so is a generation"))
}

#[test]
fn the_go_program_replaces_itself_and_keeps_its_port() {
    let Some(tool) = require_program("go", "golang-go") else { return };
    let dir = tempfile::tempdir().expect("a temporary directory");
    let binary = dir.path().join("graceful");
    go(&tool, &["vet", "."]);
    go(&tool, &["build", "-o", binary.to_str().expect("it is ASCII"), "."]);

    let mut program = Program::start(Command::new(&binary).args(["-listen", "127.0.0.1:0"]));
    let line = program.line("listening");
    let address = field(&line, "address").expect("the line names the address");
    assert_eq!(who_answers(address), (program.pid(), 1));

    program.signal(Signal::SIGUSR2);
    let line = program.line("listening");
    assert_eq!(field(&line, "address"), Some(address), "the child should have inherited the listener");
    // No client connects meanwhile: a listener that has become blocking would hold the old process here.
    assert_eq!(program.wait(), End::Exited(0), "the old process should end by itself:\n{}", program.output());

    let (new, generation) = who_answers(address);
    let child = field(&line, "pid").expect("the line names the child");
    assert_eq!((new.to_string().as_str(), generation), (child, 2), "the child should answer");
    kill(new, Signal::SIGTERM).expect("the child is there");
    await_exit(new);
}
