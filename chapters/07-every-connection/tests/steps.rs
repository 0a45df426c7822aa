//! Each step fails as the book says, and the last one does not.

use std::process::Command;

use testkit::{Program, example};

const BROKEN: &str = "http2 error: connection error detected: unspecific protocol error detected";

#[track_caller]
fn said(name: &str) -> String {
    Program::start(&mut Command::new(example(env!("CARGO_BIN_EXE_every-connection"), name))).wait_all()
}

/// What it says after the old process's answer.
#[track_caller]
fn then(name: &str) -> String {
    let said = said(name);
    said.strip_prefix("the old process answers a=b\n")
        .unwrap_or_else(|| panic!("the first answer is missing: {said}"))
        .to_owned()
}

#[test]
fn s1_finds_a_request_where_it_expects_a_preface() {
    let said = then("s1_socket_alone");
    assert!(said.starts_with(&format!("the new process: {BROKEN}\nthe client: connection error")), "{said}");
}

#[test]
fn s2_acknowledges_what_the_client_did_not_say() {
    let said = then("s2_beginning");
    assert!(said.contains(&format!("the client: {BROKEN}")), "it is the client that finds it: {said}");
}

#[test]
fn s3_cannot_read_what_the_client_abbreviates() {
    let said = then("s3_unheard");
    assert!(said.contains(&format!("the new process: {BROKEN}")), "the new process finds it: {said}");
    assert!(said.contains("the client: http2 error: connection error received"), "and tells the client: {said}");
}

#[test]
fn s4_is_answered_by_the_new_process() {
    assert_eq!(then("s4_no_table"), "the new process answers a=b");
}

#[test]
fn w1_counts_from_the_beginning() {
    assert_eq!(said("w1_socket_alone"), "the old process: 1 a\nthe new process: 1 b");
}

#[test]
fn w2_takes_the_rest_of_a_message_for_a_beginning() {
    let said = said("w2_any_moment");
    let error = "the new process: WebSocket protocol error: Encountered invalid opcode: 12\nthe client: WebSocket protocol error";
    assert!(said.starts_with(&format!("the old process: 1 a\na pong\n{error}")), "{said}");
}

#[test]
fn w3_loses_what_the_library_had_read() {
    assert_eq!(said("w3_between_messages"), "the old process: 1 a\nthe old process: 2 b\nthe new process: 3 d");
}

#[test]
fn w4_loses_nothing() {
    let new = ["the new process: 2 b", "the new process: 3 c", "the new process: 4 hello"].join("\n");
    assert_eq!(said("w4_gate"), format!("the old process: 1 a\n{new}"));
}
