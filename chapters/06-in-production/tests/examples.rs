//! The page *Use it in your server* promises that its programs are upgraded without a loss. They are.

use std::process::Command;

use testkit::load::Plan;
use testkit::{Generations, example};

#[track_caller]
fn is_upgraded_without_a_loss(name: &str) {
    let mut command = Command::new(example(env!("CARGO_BIN_EXE_graceful-demo"), name));
    // Their log has colours otherwise.
    let mut server = Generations::start(command.arg("127.0.0.1:0").env("NO_COLOR", "1"), 1);
    let tally = server.assert_upgrades_lose_nothing(Plan::new(server.address()), 20);
    assert_eq!(tally.closed_announced, 0, "connections should have been handed over: {tally:#?}");
}

#[test]
fn a_hyper_service() {
    is_upgraded_without_a_loss("hyper_hello");
}

#[test]
fn an_axum_service() {
    is_upgraded_without_a_loss("axum_hello");
}
