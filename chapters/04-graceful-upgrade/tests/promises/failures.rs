//! Upgrades that fail: the reason is logged, the child is killed and reaped, the old process serves on, and the next good
//! upgrade works.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use nix::sys::signal::{Signal, kill};
use testkit::load::Plan;
use testkit::{Deployment, await_exit, await_refusal, children, hold, let_go, sleeps_in_its_runtime, wait_until};

use crate::scarcity::limit_descriptors;
use crate::server::{BINARY, deployment, start};

/// Breaks the program on disk, upgrades in vain under load, mends it, and upgrades.
#[track_caller]
fn a_failed_upgrade_costs_nothing(more: &[&str], break_it: impl Fn(&Deployment), reason: &str) {
    let deployment = deployment();
    let mut server = deployment.start(more);
    let load = Plan::new(server.address()).connections(4).start();
    load.wait_until_warm();

    break_it(&deployment);
    let line = server.upgrade_in_vain();
    assert!(line.contains(reason), "the reason should say {reason:?}: {line}");
    assert_eq!(children(server.serving), [], "the child should be reaped");
    load.wait_for_answers(100);

    deployment.put_binary();
    let old = server.upgrade();
    load.wait_for_generation(2);
    await_exit(old);
    let tally = load.stop();
    tally.assert_nothing_lost();
    server.assert_answered_by(2);
}

#[test]
fn a_missing_program_is_survived() {
    a_failed_upgrade_costs_nothing(&[], |there| fs::remove_file(there.server()).unwrap(), "No such file or directory");
}

#[test]
fn a_program_that_may_not_be_executed_is_survived() {
    let forbid = |there: &Deployment| {
        there.put_script("exit 0");
        fs::set_permissions(there.server(), fs::Permissions::from_mode(0o644)).unwrap();
    };
    a_failed_upgrade_costs_nothing(&[], forbid, "Permission denied");
}

#[test]
fn a_program_that_exits_at_once_is_survived() {
    a_failed_upgrade_costs_nothing(&[], |there| there.put_script("exit 7"), "it exited with status 7");
}

#[test]
fn a_program_that_crashes_is_survived() {
    a_failed_upgrade_costs_nothing(&[], |there| there.put_script("kill -SEGV $$"), "it died by SIGSEGV");
}

#[test]
fn a_program_that_never_says_ready_is_killed() {
    let hang = |there: &Deployment| there.put_script("exec tail -f /dev/null");
    a_failed_upgrade_costs_nothing(&["--ready-timeout", "200ms"], hang, "it was not ready within 200ms, it was killed");
}

#[test]
fn a_program_that_refuses_what_it_inherits_is_survived() {
    let other = |there: &Deployment| there.put_script(&format!("exec '{BINARY}' --listen 127.0.0.1:1"));
    a_failed_upgrade_costs_nothing(&[], other, "it exited with status 1");
}

/// Upgrades in vain to a script, and asserts that whatever it has started holds nothing of ours.
#[track_caller]
fn assert_a_script_leaves_nothing(script: &str, reason: &str) {
    let deployment = deployment();
    let mut server = deployment.start(&["--ready-timeout", "200ms"]);
    deployment.put_script(script);
    let line = server.upgrade_in_vain();
    assert!(line.contains(reason), "{line}");
    assert_eq!(children(server.serving), [], "the child should be reaped");
    server.stop();
    await_refusal(server.address());
}

/// The shell is the successor that is killed; what it started has our listeners, too.
#[test]
fn a_wrapper_whose_program_hangs_leaves_nothing_that_holds_the_listeners() {
    assert_a_script_leaves_nothing("tail -f /dev/null; exit 7", "it was not ready within 200ms");
}

#[test]
fn a_wrapper_leaves_nothing_that_holds_the_listeners_however_it_was_started() {
    let hang = "tail -f /dev/null";
    for script in [
        format!("{hang} & wait"),
        format!("setsid {hang} & wait"),
        format!("(setsid {hang} &) ; {hang}"),
        format!("trap '' TERM; while :; do sleep 1; done & {hang}"),
    ] {
        assert_a_script_leaves_nothing(&script, "it was killed");
    }
    // The end of the wrapper itself is not the end of the channel: its program holds that, too.
    assert_a_script_leaves_nothing(&format!("setsid {hang} & exit 1"), "it exited with status 1");
}

#[test]
fn the_end_of_a_successor_is_noticed_although_it_has_left_a_process_that_holds_its_channel() {
    let deployment = deployment();
    let mut server = deployment.start(&["--drain-timeout", "1h", "--ready-timeout", "1h"]);
    let held = hold(server.address());
    deployment.put_script(&format!("tail -f /dev/null & exec '{BINARY}' \"$@\""));
    server.upgrade();
    server.signal(Signal::SIGKILL);
    server.program.line("upgrade failed");
    server.assert_answered_by(1);

    deployment.put_script("tail -f /dev/null & kill -9 $$");
    kill(server.program.pid(), Signal::SIGUSR2).expect("it serves");
    server.program.line("upgrade failed");
    let_go(held);
    server.program.signal(Signal::SIGTERM);
    assert_eq!(server.program.wait().code(), 0, "{}", server.program.output());
    server.program.wait_all();
    await_refusal(server.address());
}

#[test]
fn a_failed_upgrade_is_over_when_the_file_system_hangs_and_cannot_come_back() {
    let deployment = deployment();
    let mut server = deployment.start(&["--ready-timeout", "200ms"]);
    let Some(lease) = deployment.put_slow() else { return };
    let line = server.upgrade_in_vain();
    assert!(line.contains("it was not ready within 200ms"), "{line}");
    wait_until("the child is reaped", || children(server.serving).is_empty());
    server.assert_answered_by(1);

    server.signal(Signal::SIGKILL);
    server.program.wait();
    drop(lease);
    server.program.wait_all();
    await_refusal(server.address());
}

#[test]
fn a_hung_successor_is_reaped_although_no_descriptor_is_left() {
    let deployment = deployment();
    let mut server = deployment.start(&["--ready-timeout", "700ms"]);
    deployment.put_script("echo started >&2; exec tail -f /dev/null");
    server.signal(Signal::SIGUSR2);
    server.program.line("started");
    server.program.line("upgrading");
    limit_descriptors(server.serving, 3);
    let line = server.program.line("upgrade failed");
    assert!(line.contains("it was not ready within 700ms, it was killed"), "{line}");
    assert_eq!(children(server.serving), [], "the child should be reaped");
}

#[test]
fn a_successor_whose_predecessor_is_killed_while_it_starts_serves() {
    let deployment = deployment();
    let mut server = deployment.start(&[]);
    server.kill_during_a_start(&deployment);
    server.assert_answered_by(2);

    // And it can be replaced in its turn.
    deployment.put_binary();
    await_exit(server.upgrade());
    server.assert_answered_by(3);
}

#[test]
fn a_successor_that_dies_while_the_old_process_drains_is_replaced_by_it() {
    let mut server = start(&["--drain-timeout", "1h"]);
    let first = server.serving;
    let mut held = hold(server.address());
    server.upgrade();
    server.assert_answered_by(2);

    kill(server.serving, Signal::SIGKILL).unwrap();
    server.program.line("upgrade failed");
    server.program.line("generation=1 ");
    server.assert_answered_by(1);
    assert_eq!(children(first), [], "the lost successor should be reaped");
    // Not only new clients: the connection that was asked to leave is kept alive again.
    held.send("rest.");
    assert!(!held.reply().says_close(), "the drain was called off");
    assert_eq!(held.ask("/").text(), format!("hello from pid {first}, generation 1\n"));

    server.generation = 1;
    server.serving = first;
    await_exit(server.upgrade());
    server.assert_answered_by(2);
}

/// Clients that come while no process accepts wait in the queue, and are not refused.
/// The successor's own upgrade has failed, so its predecessor does not come back any more.
#[test]
fn a_successor_that_dies_when_the_old_process_may_not_come_back_is_reaped_once() {
    let deployment = deployment();
    let mut server = deployment.start(&["--drain-timeout", "1h"]);
    let held = hold(server.address());
    let first = server.upgrade();
    deployment.put_script("exit 7");
    server.upgrade_in_vain();
    server.signal(Signal::SIGKILL);
    wait_until("the old process has reaped it", || children(first).is_empty());
    wait_until("the old process sleeps", || sleeps_in_its_runtime(first));
    let_go(held);
    assert_eq!(server.program.wait().code(), 0);
}

#[test]
fn a_successor_that_dies_under_load_costs_its_own_clients_at_most() {
    let mut server = start(&["--drain-timeout", "1h"]);
    let first = server.serving;
    let _held = hold(server.address());
    let load = Plan::new(server.address()).per_request().connections(8).start();
    load.wait_until_warm();
    server.upgrade();
    load.wait_for_generation(2);
    kill(server.serving, Signal::SIGKILL).unwrap();
    server.program.line("generation=1 ");
    load.wait_for_answers(100);
    let tally = load.stop();
    assert_eq!(tally.refused, 0, "{}", tally.describe_losses());
    assert!(tally.lost <= 8, "one for each client that generation 2 had accepted:\n{}", tally.describe_losses());
    wait_until("the lost successor is reaped", || children(first).is_empty());
}

#[test]
fn a_second_request_to_upgrade_is_refused_while_the_first_one_is_under_way() {
    let deployment = deployment();
    let mut server = deployment.start(&[]);
    let gate = deployment.put_gate("");
    server.signal(Signal::SIGUSR2);
    server.program.line("started");
    server.signal(Signal::SIGUSR2);
    server.program.line("upgrade refused: one is under way");
    server.assert_answered_by(1);
    let first = server.serving;
    gate.open();
    server.next_generation(1);
    await_exit(first);
    server.assert_answered_by(2);
}

#[test]
fn the_old_process_cuts_what_its_deadline_does_not_wait_for() {
    let mut server = start(&["--drain-timeout", "300ms"]);
    let mut held = hold(server.address());
    server.upgrade();
    assert_eq!(server.program.wait().code(), 3, "one request was cut");
    server.program.line("1 request was cut");
    let (rest, _) = held.rest();
    assert!(!rest.ends_with("rest."));
    server.assert_answered_by(2);
}
