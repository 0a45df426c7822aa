//! A log that is not read costs lines, and no upgrade waits for its reader.

use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use testkit::{End, Program, StalledPipe, Wire, await_exit, wait_until};

use crate::server::{BINARY, deployment};

#[test]
fn a_log_that_is_not_read_does_not_stop_an_upgrade() {
    let (deployment, log) = (deployment(), StalledPipe::new());
    let address = format!("unix:{}", deployment.socket().display());
    let mut sh = Command::new("sh");
    sh.args(["-c", r#"exec "$0" --listen "$1" 2>"$2""#, BINARY, &address]).arg(log.path());
    let mut program = Program::start(&mut sh);
    wait_until("the server listens", || Wire::try_connect(&address).is_ok());
    program.signal(Signal::SIGUSR2);
    let mut serving = String::new();
    wait_until("the successor answers", || {
        let answer = Wire::connect(&address).ask("/");
        serving = answer.header("x-pid").unwrap_or_default().to_owned();
        answer.header("x-generation") == Some("2")
    });
    assert_eq!(program.wait(), End::Exited(0), "the old process should end when it has drained");
    let successor = Pid::from_raw(serving.parse().expect("a pid is a number"));
    kill(successor, Signal::SIGTERM).expect("it has just answered");
    await_exit(successor);
}
