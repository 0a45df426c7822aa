//! The wrong turns are wrong, and in the way that the book says.

use std::process::Command;
use std::time::Instant;

use lab::{Generations, Program, Wire, await_exit, example, field};
use nix::sys::signal::Signal;

fn wrong(name: &str) -> Command {
    Command::new(example(env!("CARGO_BIN_EXE_connection-handover"), name))
}

fn run(name: &str) -> String {
    Program::start(&mut wrong(name)).wait_all()
}

#[test]
fn handing_over_an_unflushed_answer_breaks_it_off_and_puts_the_next_one_into_its_middle() {
    let said = run("wrong_unflushed");
    let number = |key| field(&said, key).and_then(|value| value.parse::<usize>().ok()).expect("a number");
    assert!(number("came") < number("promised"), "the answer came whole: {said}");
    assert!(said.contains("then=\"HTTP/1.1 200 OK"), "another answer should stand in its place: {said}");
}

#[test]
fn handing_over_an_unread_body_makes_a_request_of_it() {
    let said = run("wrong_unread_body");
    assert!(said.contains("sent=[\"/form\"]"), "one request was sent: {said}");
    assert!(said.contains("answered=Some(\"/delete-everything\")"), "its body should have been taken for one: {said}");
}

#[test]
fn offering_all_connections_at_once_makes_their_clients_wait_until_all_are_over() {
    let mut server = Generations::start(wrong("wrong_burst").args(["--listen", "127.0.0.1:0"]), 1);
    let mut clients: Vec<_> = (0..2_000).map(|_| Wire::connect(server.address())).collect();
    let old = server.serving;
    server.signal(Signal::SIGUSR2);
    server.program.line("draining");
    let began = Instant::now();
    clients.iter_mut().step_by(40).for_each(|client| client.get("/"));
    clients.iter_mut().step_by(40).for_each(|client| drop(client.reply()));
    let answered = began.elapsed();
    await_exit(old);
    let over = began.elapsed();
    // A twentieth of it, where 64 are offered at a time.
    assert!(answered > over / 5, "every client had its answer after {answered:?}, and all were over after {over:?}");
}
