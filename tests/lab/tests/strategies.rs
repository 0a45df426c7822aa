//! The strategies to compare with, proven wrong.

use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use testkit::{Program, ThirdParty, Wire, field};

fn start(example: &str, address: &str) -> Program {
    let example = testkit::example(env!("CARGO_BIN_EXE_lab"), example);
    Program::start(Command::new(example).args(["--listen", address]))
}

#[test]
fn closing_at_once_never_answers_a_request_that_was_on_its_way() {
    let mut program = start("close_at_once", "127.0.0.1:0");
    let address = program.listening();
    let mut kept_alive = Wire::connect(&address);
    assert_eq!(kept_alive.ask("/").status, 200);
    program.signal(Signal::SIGUSR2);
    program.wait();
    // The client has not seen the close yet, so it may send. Whether it still can is up to the kernel.
    let _ = kept_alive.try_send("GET / HTTP/1.1\r\nHost: lab\r\n\r\n");
    assert_eq!(kept_alive.rest().0, "", "the request was answered; then this is no wrong turn any more");
    // And this although the new process was ready before the old one stopped.
    assert!(Wire::connect(&address).ask("/").text().starts_with("hello"));
}

#[test]
fn wrk_notices_when_connections_are_closed_at_once() {
    let mut program = start("close_at_once", "127.0.0.1:0");
    let first = program.line("listening");
    let Some(client) = ThirdParty::Wrk.start(field(&first, "address").expect("the line names it")) else { return };
    let pid =
        |line: &str| Pid::from_raw(field(line, "pid").and_then(|pid| pid.parse().ok()).expect("the line names it"));
    let mut serving = pid(&first);
    for _ in 0..10 {
        ThirdParty::Wrk.await_connections(&client, serving);
        kill(serving, Signal::SIGUSR2).expect("it serves");
        serving = pid(&program.line("listening"));
    }
    let verdict = ThirdParty::Wrk.verdict(client);
    assert!(verdict.after(" read ") > 0, "no connection was cut; then this is no wrong turn any more: {verdict:?}");
}

#[test]
fn a_shared_port_has_a_queue_for_each_process_and_a_client_in_it_shares_the_fate_of_the_process() {
    let mut old = start("share_port", "127.0.0.1:0");
    let address = old.listening();
    // It had no time to accept: that is what the moment before its end looks like, made long enough to see.
    old.signal(Signal::SIGSTOP);
    let mut new = start("share_port", &address);
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
