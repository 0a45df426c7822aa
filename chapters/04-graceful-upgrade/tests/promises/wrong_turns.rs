//! The wrong turns, proven wrong.

use std::net::TcpListener;
use std::os::fd::AsRawFd as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use lab::{End, Program, Wire, field};
use nix::libc;
use nix::sys::signal::Signal;

use crate::server::{BINARY, deployment, get};

#[test]
fn retiring_first_bets_the_service_on_a_program_that_was_never_tried() {
    let deployment = deployment();
    deployment.put(&lab::example(BINARY, "wrong_retire_first"));
    let mut program = Program::start(Command::new(deployment.server()).args(["--listen", "127.0.0.1:0"]));
    let address = program.listening();
    assert!(get(&address, "/").starts_with("hello"));

    // With a good program on disk it even works…
    program.signal(Signal::SIGUSR2);
    let second = program.line("listening");
    assert!(get(&address, "/").starts_with("hello"));
    program.wait();

    // … and with a bad one, the service is gone: nobody was left to carry on.
    deployment.put_script("exit 7");
    let second = field(&second, "pid").unwrap().parse().unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(second), Signal::SIGUSR2).unwrap();
    program.wait_all();
    assert!(Wire::try_connect(&address).is_err(), "somebody serves; then this is no wrong turn any more");
}

#[test]
fn killing_the_parent_kills_the_supervisor() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = lab::example(BINARY, "wrong_kill_parent");
    // A supervisor that passes a listener on, as systemd does, and waits for its service.
    let mut supervisor = Command::new("sh");
    let script = "sh -c 'LISTEN_PID=$$ exec \"$@\"' sh \"$@\" & wait; echo the service ended";
    supervisor.args(["-c", script, "sh"]).arg(server).args(["--listen", &address]).env("LISTEN_FDS", "1");
    let descriptor = listener.as_raw_fd();
    // SAFETY: between fork and exec, only dup2(2) is called, which is async-signal-safe.
    unsafe {
        supervisor.pre_exec(
            move || if libc::dup2(descriptor, 3) == 3 { Ok(()) } else { Err(std::io::Error::last_os_error()) },
        );
    }
    let mut supervisor = Program::start(&mut supervisor);
    assert_eq!(supervisor.wait(), End::Killed(Signal::SIGTERM), "{}", supervisor.output());
}
