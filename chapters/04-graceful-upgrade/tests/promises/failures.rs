//! Upgrades that fail: the reason is logged, the child is killed and reaped, the old process serves on, and the next good
//! upgrade works.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use lab::load::Plan;
use lab::{Deployment, Wire, await_exit};
use nix::sys::signal::{Signal, kill};

use crate::generations::{children, hold};
use crate::server::{deployment, start};

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
    assert_eq!(children(server.serving), "", "the child should be reaped");
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
    let other = |there: &Deployment| there.put_script("exec \"$0.real\" --listen 127.0.0.1:1");
    let with_real = |there: &Deployment| {
        fs::hard_link(crate::server::BINARY, there.path().join("server.real")).unwrap();
        other(there);
    };
    a_failed_upgrade_costs_nothing(&[], with_real, "it exited with status 1");
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
    assert_eq!(children(first), "", "the lost successor should be reaped");
    // Not only new clients: the connection that was asked to leave is kept alive again.
    held.send("rest.");
    assert!(!held.reply().says_close(), "the drain was called off");
    assert_eq!(held.ask("/").text(), format!("hello from pid {first}, generation 1\n"));

    server.generation = 1;
    server.serving = first;
    await_exit(server.upgrade());
    server.assert_answered_by(2);
}

#[test]
fn a_second_request_to_upgrade_is_refused_while_the_first_one_is_under_way() {
    let deployment = deployment();
    let mut server = deployment.start(&[]);
    deployment.put_script("exec tail -f /dev/null");
    server.signal(Signal::SIGUSR2);
    server.program.line("upgrading");
    server.signal(Signal::SIGUSR2);
    server.program.line("upgrade refused: one is under way");
    server.assert_answered_by(1);
}

#[test]
fn sigterm_during_an_upgrade_ends_both() {
    let deployment = deployment();
    let mut server = deployment.start(&[]);
    let mut held = hold(server.address());
    deployment.put_script("exec tail -f /dev/null");
    server.signal(Signal::SIGUSR2);
    server.program.line("upgrading");
    server.signal(Signal::SIGTERM);
    server.program.line("draining");
    held.send("rest.");
    assert_eq!(held.reply().text(), "firstrest.", "what was under way is answered");
    assert_eq!(server.program.wait().code(), 0);
    // Nobody is left to hold the log open.
    server.program.wait_all();
}

#[test]
fn sigterm_to_the_group_in_the_middle_of_an_upgrade_ends_every_generation() {
    for _ in 0..10 {
        let mut server = start(&[]);
        server.signal(Signal::SIGUSR2);
        // At whatever moment of the upgrade this comes.
        nix::sys::signal::killpg(server.program.pid(), Signal::SIGTERM).unwrap();
        server.program.wait();
        server.program.wait_all();
        assert!(Wire::try_connect(server.address()).is_err(), "somebody still listens");
    }
}

#[test]
fn the_old_process_cuts_what_its_deadline_does_not_wait_for() {
    let mut server = start(&["--drain-timeout", "300ms"]);
    let mut held = hold(server.address());
    server.upgrade();
    assert_eq!(server.program.wait().code(), 3, "one request was cut");
    server.program.line("1 request was cut: the drain ended first");
    let (rest, _) = held.rest();
    assert!(!rest.ends_with("rest."));
    server.assert_answered_by(2);
}
