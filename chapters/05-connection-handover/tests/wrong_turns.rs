//! The wrong turns are wrong, and in the way that the book says.

use lab::{Program, example, field};

fn run(name: &str) -> String {
    let mut program =
        Program::start(&mut std::process::Command::new(example(env!("CARGO_BIN_EXE_connection-handover"), name)));
    program.wait_all()
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
