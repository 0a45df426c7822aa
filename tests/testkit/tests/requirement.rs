//! A test that is skipped says so to a person, and fails in CI.

#![expect(clippy::unwrap_used, reason = "a helper of a test may panic like the test itself")]

use std::process::{Command, Output};

use testkit::require_program;

const SKIPPED: &str =
    "skipped lacking: this test needs `no-such-program`: install it with `apt-get install no-such-package`\n";

#[test]
#[ignore = "the other tests run it, to see what a person sees"]
fn lacking() {
    assert_eq!(require_program("no-such-program", "no-such-package"), None);
}

/// Runs the test above as `cargo test` does: what it prints is captured.
fn run_lacking(ci: Option<&str>) -> Output {
    let mut command = Command::new(std::env::current_exe().unwrap());
    // With a second thread for tests, whatever the machine and the environment say: else libtest runs it in `main`.
    command.args(["--exact", "lacking", "--ignored", "--test-threads=2"]).env_remove("RUST_TEST_NOCAPTURE");
    match ci {
        Some(ci) => command.env("CI", ci),
        None => command.env_remove("CI"),
    };
    command.output().unwrap()
}

#[test]
fn a_test_that_is_skipped_is_seen_to_be_although_it_passes() {
    let run = run_lacking(None);
    assert!(run.status.success(), "{run:?}");
    assert_eq!(String::from_utf8_lossy(&run.stderr), SKIPPED);
}

#[test]
fn ci_may_skip_nothing() {
    let run = run_lacking(Some("true"));
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(!run.status.success(), "{said}");
    assert!(said.contains("install it with `apt-get install no-such-package`; CI may not skip this test"), "{said}");
}

#[test]
fn a_program_that_is_there_is_found() {
    assert!(require_program("sh", "dash").unwrap().ends_with("sh"));
}
