//! A [`Program`] and all that it starts are ours: we hear them, we know how they ended, and none is left behind.

#![expect(clippy::unwrap_used, reason = "a helper of a test may panic like the test itself")]

use std::fs::OpenOptions;
use std::path::PathBuf;
use std::process::Command;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};
use testkit::{End, Program, await_exit, field};

fn sh(script: &str) -> Program {
    Program::start(Command::new("sh").args(["-c", script]))
}

/// The pid in the next line with `child=`.
fn child(program: &mut Program) -> Pid {
    let line = program.line("child=");
    Pid::from_raw(field(&line, "child").unwrap().parse().unwrap())
}

fn exists(pid: Pid) -> bool {
    kill(pid, None) != Err(Errno::ESRCH)
}

/// A pipe with a name: a process that opens it for reading is held up until we let it go.
struct Gate {
    _directory: tempfile::TempDir,
    path: PathBuf,
}

impl Gate {
    fn new() -> Gate {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("gate");
        mkfifo(&path, Mode::S_IRWXU).unwrap();
        Gate { _directory: directory, path }
    }

    /// Shell code that waits here.
    fn wait(&self) -> String {
        format!("read go < {}", self.path.display())
    }

    fn open(&self) {
        drop(OpenOptions::new().write(true).open(&self.path).unwrap());
    }
}

#[test]
fn drop_ends_what_the_program_left_behind_and_nothing_else() {
    let mut bystander = Command::new("sleep").arg("1000").spawn().unwrap();
    let mut neighbour = sh("sleep 1000 & echo child=$!; wait");
    let neighbours_child = child(&mut neighbour);

    let mut program = sh("sleep 1000 & echo child=$!");
    let orphan = child(&mut program);
    assert_eq!(program.wait(), End::Exited(0));
    assert!(exists(orphan));
    drop(program);
    assert!(!exists(orphan), "pid {orphan} outlived the program that started it");

    assert!(bystander.try_wait().unwrap().is_none(), "drop touched a child that is none of the program's");
    assert!(exists(neighbours_child), "drop touched the child of another program");
    drop(neighbour);
    assert!(!exists(neighbours_child));
    bystander.kill().unwrap();
    bystander.wait().unwrap();
}

#[test]
fn drop_ends_a_grandchild_whose_parent_is_still_there() {
    let mut program = sh("sh -c 'sleep 1000 & echo child=$!; wait' & wait");
    let grandchild = child(&mut program);
    drop(program);
    assert!(!exists(grandchild));
}

#[test]
fn each_pattern_has_its_own_place_in_the_log() {
    let mut program = sh("echo one apple; echo two pears >&2; echo three apples");
    assert_eq!(program.line("three"), "three apples");
    assert_eq!(program.line("apple"), "one apple");
    assert_eq!(program.line("apple"), "three apples");
    assert_eq!(program.line("pears"), "two pears");
    assert_eq!(program.count("apple"), 2);
}

#[test]
#[should_panic(expected = "no line number 2 with \"apple\" in the log:\none apple")]
fn a_line_that_cannot_come_any_more_is_not_waited_for() {
    let mut program = sh("echo one apple");
    program.line("apple");
    program.line("apple");
}

#[test]
fn an_end_is_a_status_or_a_signal() {
    let exited = sh("exit 3").wait();
    assert_eq!((exited, exited.code()), (End::Exited(3), 3));

    let mut program = sh("echo up; exec sleep 1000");
    program.line("up");
    program.signal(Signal::SIGTERM);
    let killed = program.wait();
    assert_eq!((killed, killed.code()), (End::Killed(Signal::SIGTERM), 143));
    assert_eq!(program.wait(), killed, "an end does not change");
}

#[test]
fn the_whole_output_includes_that_of_later_generations() {
    let gate = Gate::new();
    let mut program = sh(&format!("({}; echo late) & echo early", gate.wait()));
    assert_eq!(program.wait(), End::Exited(0));
    gate.open();
    assert_eq!(program.wait_all(), "early\nlate");
}

#[test]
fn the_exit_of_a_later_generation_is_waited_for_and_reaped() {
    let gate = Gate::new();
    let mut program = sh(&format!("({}) & echo child=$!", gate.wait()));
    let orphan = child(&mut program);
    program.wait();
    gate.open();
    await_exit(orphan);
    assert!(!exists(orphan), "pid {orphan} was not reaped");
    await_exit(orphan);
}

#[test]
fn waiting_for_the_exit_of_the_program_itself_does_not_lose_its_status() {
    let mut program = sh("exit 3");
    await_exit(program.pid());
    assert_eq!(program.wait(), End::Exited(3));
}

#[test]
fn a_field_is_found_by_its_name() {
    let line = "INFO listening address=127.0.0.1:80 pid=7 name=\"web\"";
    assert_eq!(field(line, "address"), Some("127.0.0.1:80"));
    assert_eq!(field(line, "name"), Some("web"));
    assert_eq!(field(line, "id"), None);
}
