//! Ctrl-C at a terminal reaches parent and child alike, and is one wish.

mod common;

use std::fs::File;
use std::io::Write as _;
use std::process::Command;

use common::{SERVER, ask_for_stream};
use nix::pty::openpty;
use nix::unistd::ttyname;
use testkit::{End, Program, require_program};

#[test]
fn a_request_in_flight_survives_one_ctrl_c() {
    let Some(setsid) = require_program("setsid", "util-linux") else { return };
    let terminal = openpty(None, None).expect("there is a terminal left");
    let path = ttyname(&terminal.slave).expect("a terminal has a name");
    // `setsid --ctty` makes its standard input the terminal of a new session, with the server in the foreground.
    let start = "exec \"$0\" --ctty --wait \"$@\" <\"$TERMINAL\"";
    let mut shell = Command::new("sh");
    shell.args(["-c", start]).arg(setsid).args([SERVER, "--listen", "127.0.0.1:0"]).env("TERMINAL", path);
    let mut program = Program::start(&mut shell);
    let mut answer = ask_for_stream(&program.listening());

    // Ctrl-C is the character 3 (termios(3), VINTR).
    File::from(terminal.master.try_clone().expect("there are descriptors left"))
        .write_all(b"\x03")
        .expect("it is typed");
    program.line("draining");
    assert!(answer.any(|line| line == "line 2 of 2"), "the request was cut: did two signals count as two wishes?");
    // The server lingers for a client that may write again; this one does not.
    drop(answer);
    assert_eq!(program.wait(), End::Exited(0), "{}", program.output());
}
