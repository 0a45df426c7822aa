//! Each step fails as the book says, and the last one does not.

use std::process::Command;

use testkit::{Program, example, field};

fn run(name: &str) -> String {
    Program::start(&mut Command::new(example(env!("CARGO_BIN_EXE_connection-handover"), name))).wait_all()
}

#[test]
fn s1_breaks_an_answer_off_and_puts_the_next_one_into_its_middle() {
    let said = run("s1_at_once");
    let number = |key| field(&said, key).and_then(|value| value.parse::<usize>().ok()).expect("a number");
    assert!(number("came") < number("promised"), "the answer came whole: {said}");
    assert!(said.contains("then=\"HTTP/1.1 200 OK"), "another answer should stand in its place: {said}");
}

#[test]
fn s2_takes_an_unread_body_for_a_request() {
    let said = run("s2_when_idle");
    assert!(said.contains("sent=[\"/form\"]"), "one request was sent: {said}");
    assert!(said.contains("answered=Some(\"/delete-everything\")"), "its body should have been taken for one: {said}");
}

#[test]
fn s3_waits_for_the_end_of_the_body_and_answers_the_next_request() {
    let said = run("s3_gate");
    assert!(said.contains("the body is not read: quiet=false"), "the gate would have let go too early: {said}");
    assert!(said.contains("the body is read: quiet=true"), "the gate should let go once the body is read: {said}");
    assert!(said.contains("answered by the new process: /next"), "the next request, and no body, is answered: {said}");
}
