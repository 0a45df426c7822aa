//! A log that cannot be written, or that is not read, costs lines and nothing else.

use std::path::Path;
use std::process::Command;

use nix::sys::signal::Signal;
use tempfile::TempDir;
use testkit::{End, Program, StalledPipe, Wire, wait_until};

/// Starts the program on a unix socket (no log tells us a port); the shell command `stderr` sets up its standard error,
/// and `$2` is `file`. Returns it once it answers, with its address.
fn start(stderr: &str, file: &Path) -> (Program, TempDir, String) {
    let directory = tempfile::tempdir().expect("there is room in /tmp");
    let address = format!("unix:{}", directory.path().join("socket").display());
    let mut sh = Command::new("sh");
    sh.args(["-c", &format!(r#"{stderr}; exec "$0" --listen "$1""#), env!("CARGO_BIN_EXE_graceful-shutdown")]);
    sh.arg(&address).arg(file);
    let program = Program::start(&mut sh);
    wait_until("the server listens", || Wire::try_connect(&address).is_ok());
    assert_eq!(Wire::connect(&address).ask("/").status, 200);
    (program, directory, address)
}

#[track_caller]
fn assert_stops_well(mut program: Program) {
    program.signal(Signal::SIGTERM);
    assert_eq!(program.wait(), End::Exited(0));
}

#[test]
fn a_log_that_is_closed_does_not_stop_the_drain() {
    // `kill $(pidof …)` from a terminal that is gone.
    let (program, ..) = start("exec 2>&-", Path::new("none"));
    assert_stops_well(program);
}

#[test]
fn a_log_that_is_not_read_does_not_stop_the_drain() {
    let log = StalledPipe::new();
    let (program, ..) = start(r#"exec 2>"$2""#, log.path());
    assert_stops_well(program);
}

#[test]
fn lines_that_were_lost_are_counted_and_said() {
    let mut log = StalledPipe::new();
    let (program, ..) = start(r#"exec 2>"$2""#, log.path());
    log.read();
    assert_stops_well(program);
    let log = log.read();
    let [lost, rest] = log.splitn(2, '\n').collect::<Vec<_>>()[..] else { panic!("there should be more: {log:?}") };
    assert_eq!(lost, "log: lines lost because the reader did not keep up: 1", "the line `listening` was lost");
    assert!(rest.contains("draining") && rest.contains("drained"), "there was room for these: {log:?}");
}

/// A write past the limit would end the process (SIGXFSZ, setrlimit(2)).
#[test]
fn a_log_that_may_not_grow_does_not_end_the_server() {
    let file = tempfile::NamedTempFile::new().expect("there is room in /tmp");
    let (program, ..) = start(r#"exec 2>"$2"; ulimit -f 0"#, file.path());
    assert_stops_well(program);
}
