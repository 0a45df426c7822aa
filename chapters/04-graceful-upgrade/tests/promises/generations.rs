//! What many generations leave behind: nothing.

use std::collections::BTreeMap;
use std::process::Command;

use nix::sys::signal::Signal;
use testkit::{Census, Generations, Wire, await_exit, children, hold};

use crate::server::{BINARY, start};

#[test]
fn over_fifty_generations_nothing_grows() {
    let mut command = Command::new(BINARY);
    let mut server =
        Generations::start(command.env("RUST_LOG", "debug").args(["--listen", "127.0.0.1:0"].repeat(2)), 2);
    let mut census_of_next = || {
        await_exit(server.upgrade());
        // By then it has closed its channel, too.
        server.program.line("event=PredecessorGone");
        Census::of(server.serving)
    };
    // Not the first: without a predecessor, it was given one descriptor and two variables fewer.
    let young = census_of_next();
    let old = (3..=52).map(|_| census_of_next()).last().expect("fifty are some");

    assert_eq!(kinds(&old), kinds(&young), "descriptors, by what they lead to");
    assert_eq!(old.environment, young.environment);
    assert_eq!(old.limits, young.limits);
    assert_eq!((&old.blocked, &old.ignored, &old.caught), (&young.blocked, &young.ignored, &young.caught));
    assert_eq!(old.threads, young.threads);
    let (kib, allowed) = (old.resident_kib, young.resident_kib * 6 / 5);
    assert!(kib <= allowed, "resident memory grew from {} to {kib} KiB", young.resident_kib);
    assert_eq!(children(server.serving), [], "a serving process has no children, living or dead");
    server.assert_answered_by(52);
}

#[test]
fn a_successor_gets_the_listeners_and_none_of_the_connections() {
    let mut server = start(&[]);
    let clients: Vec<_> = (0..300).map(|_| Wire::connect(server.address())).collect();
    server.assert_answered_by(1);
    let sockets = |pid| Census::of(pid).targets("socket:").count();
    let many = sockets(server.serving);
    assert!(many > 300, "the server holds {many} sockets");

    server.upgrade();
    let few = sockets(server.serving);
    assert!(few < 20, "of {many} sockets, {few} came along");
    drop(clients);
}

#[test]
fn an_idle_old_process_ends_although_no_further_connection_arrives() {
    let mut server = start(&[]);
    let old = server.upgrade();
    await_exit(old);
    assert_eq!(server.program.wait().code(), 0, "everything was answered");
}

#[test]
fn an_older_generation_may_still_drain_at_the_next_upgrade() {
    let mut server = start(&["--drain-timeout", "1h"]);
    let mut slow = hold(server.address());
    let first = server.upgrade();
    let second = server.upgrade();
    server.assert_answered_by(3);

    slow.send("rest.");
    assert_eq!(slow.reply().text(), "firstrest.");
    await_exit(first);
    await_exit(second);
    server.assert_answered_by(3);
}

#[test]
fn too_many_generations_are_refused_in_a_sentence() {
    let mut server = start(&["--drain-timeout", "1h"]);
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(hold(server.address()));
        server.upgrade();
    }
    server.signal(Signal::SIGUSR2);
    server.program.line("upgrade refused: too many older generations still drain");
    server.assert_answered_by(5);

    // One ends, the rest of the chain hears of it, and there is room again.
    let mut oldest = held.remove(0);
    oldest.send("rest.");
    oldest.reply();
    assert_eq!(server.program.wait().code(), 0);
    server.program.line("an older generation has ended older=3 generation=5");
    server.upgrade();
    server.assert_answered_by(6);
}

#[test]
fn a_replaced_process_sends_those_who_ask_it_to_its_successor() {
    let mut server = start(&["--drain-timeout", "1h"]);
    let mut held = hold(server.address());
    server.upgrade();
    server.program.signal(Signal::SIGUSR2);
    server.program.line("upgrade refused: this process has been replaced");
    held.send("rest.");
    held.reply();
    assert_eq!(server.program.wait().code(), 0);
}

fn kinds(census: &Census) -> BTreeMap<String, usize> {
    let mut kinds = BTreeMap::new();
    for descriptor in census.descriptors.values() {
        let kind = descriptor.target.split(['[', '/']).next().unwrap_or_default();
        *kinds.entry(format!("{kind} cloexec={}", descriptor.cloexec)).or_default() += 1;
    }
    kinds
}
