//! On probation: a new version that turns out bad costs what it had accepted, and the old process serves again.

use nix::sys::signal::Signal;
use testkit::await_exit;

use crate::control::{assert_fails, assert_succeeds, controlled};

#[test]
fn a_new_version_that_dies_is_replaced_by_the_old_one_and_the_caller_hears_why() {
    let mut service = controlled(&["--probation", "1h"]);
    let first = service.server.serving;
    let caller = service.begin(&["upgrade"]);
    service.server.next_generation(1);
    service.server.assert_answered_by(2);
    service.server.signal(Signal::SIGKILL);
    let sentence = assert_fails(&caller.wait_with_output().expect("it ends"));
    assert!(sentence.ends_with("it was killed\n"), "{sentence}");
    service.server.assert_answered_by(1);
    assert_eq!(service.status()["pid"], first.as_raw());
    // And it can be upgraded again.
    assert_succeeds(&service.ask(&["upgrade", "--until", "ready"]));
    service.server.assert_answered_by(2);
}

#[test]
fn a_new_version_that_fails_its_health_check_is_killed() {
    let mut service = controlled(&["--probation", "1h", "--health-check", "/nope"]);
    let sentence = assert_fails(&service.ask(&["upgrade"]));
    assert!(sentence.contains("failed its health check") && sentence.contains("404"), "{sentence}");
    service.server.next_generation(1);
    await_exit(service.server.serving);
    service.server.assert_answered_by(1);
    // It was killed, and has not taken the files of the sockets along.
    assert_eq!(service.status()["generation"], 1);
}

/// The old process has a second more than its probation, whatever its drain timeout.
#[test]
fn a_drain_timeout_that_is_shorter_does_not_end_a_probation() {
    let mut service = controlled(&["--probation", "500ms", "--drain-timeout", "100ms"]);
    let first = service.server.serving;
    assert_succeeds(&service.ask(&["upgrade"]));
    service.server.next_generation(1);
    await_exit(first);
}

#[test]
fn a_probation_that_is_passed_ends_the_old_process() {
    let mut service = controlled(&["--probation", "300ms", "--health-check", "/readyz"]);
    let first = service.server.serving;
    assert_succeeds(&service.ask(&["upgrade"]));
    service.server.next_generation(1);
    await_exit(first);
}

#[test]
fn a_further_upgrade_ends_a_probation() {
    let mut service = controlled(&["--probation", "1h"]);
    let first = service.server.serving;
    let caller = service.begin(&["upgrade"]);
    service.server.next_generation(1);
    assert_succeeds(&service.ask(&["upgrade", "--until", "ready"]));
    service.server.next_generation(1);
    assert_succeeds(&caller.wait_with_output().expect("it ends"));
    await_exit(first);
    service.server.assert_answered_by(3);
}

#[test]
fn a_stop_ends_every_generation_that_is_on_probation() {
    let mut service = controlled(&["--probation", "1h"]);
    let first = service.server.serving;
    assert_succeeds(&service.ask(&["upgrade", "--until", "ready"]));
    service.server.next_generation(1);
    assert_succeeds(&service.ask(&["stop"]));
    await_exit(service.server.serving);
    await_exit(first);
}
