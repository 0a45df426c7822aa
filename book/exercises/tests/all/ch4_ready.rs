use std::fs::read_to_string;
use std::io::{PipeWriter, pipe};
use std::process::{Command, Stdio};
use std::time::Duration;

use exercises::ch4_ready::{Start, start};
use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;

/// Long enough for a shell to start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(3);

/// A shell that lives until the returned end is closed.
fn shell(script: &str) -> (Command, PipeWriter) {
    let (stdin, alive) = pipe().expect("the test may open a pipe");
    let mut command = Command::new("sh");
    command.args(["-c", script]).stdin(stdin).stderr(Stdio::null());
    (command, alive)
}

#[test]
fn a_child_that_says_so_is_ready() {
    let (command, alive) = shell("echo ready; read line");
    let started = start(command, PATIENCE).unwrap();
    drop(alive);
    let Start::Ready(mut child) = started else { panic!("it wrote a line, and you say {started:?}") };
    child.wait().unwrap();
}

#[test]
fn a_child_that_dies_is_known_to_be_dead_before_the_patience_is_over() {
    let (command, _alive) = shell("exit 7");
    let started = start(command, PATIENCE).unwrap();
    assert!(
        matches!(started, Start::Died),
        "the child was gone at once, and you say {started:?}: a pipe is at its end when *every* write end is closed. Who \
         else has one?"
    );
}

#[test]
fn a_child_that_hangs_is_killed_and_reaped() {
    let directory = tempfile::tempdir().unwrap();
    let pid_file = directory.path().join("pid");
    let (command, _alive) = shell(&format!("echo $$ > {}; read line", pid_file.display()));

    let started = start(command, Duration::from_millis(500)).unwrap();

    assert!(matches!(started, Start::TooLate), "it never said that it is ready, and you say {started:?}");
    // A shell that had not come so far yet has left no pid; then there is nothing to look for.
    if let Ok(pid) = read_to_string(&pid_file).unwrap_or_default().trim().parse() {
        let still_there = kill(Pid::from_raw(pid), None);
        assert_eq!(still_there, Err(Errno::ESRCH), "process {pid} is still there: killed, perhaps, but not waited for");
    }
}
