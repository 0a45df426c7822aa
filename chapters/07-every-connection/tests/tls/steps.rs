//! Each step of the book fails as it says, and the ones that succeed do so.

use std::process::Command;

use testkit::{Program, example};

use crate::server::BINARY;

fn says(name: &str) -> String {
    Program::start(&mut Command::new(example(BINARY, name))).wait_all()
}

#[test]
fn t1_finds_a_record_where_it_expects_a_handshake() {
    assert_eq!(
        says("t1_socket_alone"),
        "the old process answers first\n\
         the new process: received unexpected message: got ApplicationData when expecting Handshake\n\
         the client: cannot decrypt peer's message"
    );
}

#[test]
fn t2_can_go_on_until_the_client_takes_its_next_keys() {
    assert_eq!(
        says("t2_its_keys"),
        "the old process answers first\n\
         the new process reads \"second\\u{17}\"\n\
         the new process answers second\n\
         the new process reads [24, 0, 0, 1, 1, 22]\n\
         the new process: this record was not sealed with these keys"
    );
}

#[test]
fn t3_follows_the_client_to_its_next_keys() {
    assert_eq!(
        says("t3_its_secret"),
        "the old process answers first\n\
         the new process reads [24, 0, 0, 1, 1, 22]\n\
         the new process reads \"second\\u{17}\""
    );
}

#[test]
fn t4_gives_a_secret_away() {
    assert_eq!(says("t4_two_that_seal"), "the eavesdropper reads \"your password is swordfish\"");
}
