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

#[test]
fn closing_at_once_never_answers_a_request_that_was_on_its_way() {
    let server = lab::example(BINARY, "wrong_close_at_once");
    let mut program = Program::start(Command::new(server).args(["--listen", "127.0.0.1:0"]));
    let address = program.listening();
    let mut kept_alive = Wire::connect(&address);
    assert_eq!(kept_alive.ask("/").status, 200);
    program.signal(Signal::SIGUSR2);
    program.wait();
    // A client that has not seen the close yet may send. Whether it still can is up to the kernel.
    let _ = kept_alive.try_send("GET / HTTP/1.1\r\nHost: lab\r\n\r\n");
    let (answer, _) = kept_alive.rest();
    assert_eq!(answer, "", "somebody answered; then this is no wrong turn any more");

    // And this with a new process that is ready, and was before the old one stopped.
    assert!(get(&address, "/").starts_with("hello"));
}

#[test]
fn a_shared_port_has_a_queue_for_each_process_and_whoever_waits_in_it_shares_its_fate() {
    let server = lab::example(BINARY, "wrong_share_port");
    let mut old = Program::start(Command::new(&server).args(["--listen", "127.0.0.1:0"]));
    let address = old.listening();
    // It had no time to accept: that is what the moment before its end looks like, made long enough to see.
    old.signal(Signal::SIGSTOP);
    let mut new = Program::start(Command::new(&server).args(["--listen", &address]));
    new.line("listening");
    // Enough that none of them in one of the two queues would be a miracle.
    let mut clients: Vec<_> = (0..64).map(|_| Wire::connect(&address)).collect();
    for client in &mut clients {
        client.send("GET / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n");
    }
    old.signal(Signal::SIGKILL);
    old.wait();
    let answered =
        clients.iter_mut().map(|client| client.rest().0).filter(|answer| answer.starts_with("HTTP/1.1 200 ")).count();
    assert!((1..64).contains(&answered), "{answered} of 64 were answered; the others should have lost their server");
}
