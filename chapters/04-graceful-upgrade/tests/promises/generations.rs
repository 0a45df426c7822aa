//! What many generations leave behind: nothing.

use std::collections::BTreeMap;
use std::fs;

use lab::{Census, Program, Wire, await_exit};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::server::start;

#[test]
fn over_fifty_generations_nothing_grows() {
    let mut server = start(&["--listen", "127.0.0.1:0"]);
    let mut census_of_next = || {
        await_exit(server.upgrade());
        server.program.line(&format!("has ended older=0 generation={}", server.generation));
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
    assert_eq!(children(server.serving), "", "a serving process has no children, living or dead");
    server.assert_answered_by(52);
}

/// The table is not copied, but it is as large: or it would have to grow, step by step, while connections come.
#[test]
fn a_successor_has_room_for_as_many_descriptors_as_its_predecessor_and_none_of_them() {
    let mut server = start(&[]);
    let clients: Vec<_> = (0..300).map(|_| Wire::connect(server.address())).collect();
    server.assert_answered_by(1);
    let [many, room] = sockets_and_room(server.serving);
    assert!(many > 300, "the server holds {many} sockets");

    server.upgrade();
    let [few, as_much] = sockets_and_room(server.serving);
    assert!(few < 20, "of {many} sockets, {few} came along");
    assert_eq!(as_much, room, "its table has room for so many");
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

/// A service manager sends its one SIGTERM to every generation.
#[test]
fn a_generation_that_others_have_settled_is_not_cut_by_the_first_sigterm() {
    let mut server = start(&["--drain-timeout", "1h"]);
    let mut slow = hold(server.address());
    let first = server.upgrade();
    let second = server.upgrade();
    for generation in [first, second, server.serving] {
        kill(generation, Signal::SIGTERM).expect("all three are alive: the first one holds the second");
    }
    // What it refuses an upgrade with says whether it has heard the SIGTERM yet.
    let heard = |program: &mut Program| {
        program.signal(Signal::SIGUSR2);
        program.line("upgrade refused: this process").ends_with("is stopping")
    };
    while !heard(&mut server.program) {}

    slow.send("rest.");
    assert_eq!(slow.reply().text(), "firstrest.", "generation 1 was asked to stop once, and cut its client off");
    await_exit(first);
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

/// A connection whose request keeps its generation until `rest.` is sent.
pub(crate) fn hold(address: &str) -> Wire {
    let mut wire = Wire::connect(address);
    wire.send("POST /echo HTTP/1.1\r\nhost: lab\r\ncontent-length: 10\r\n\r\nfirst");
    wire.wait_for("first");
    wire
}

fn kinds(census: &Census) -> BTreeMap<String, usize> {
    let mut kinds = BTreeMap::new();
    for descriptor in census.descriptors.values() {
        let kind = descriptor.target.split(['[', '/']).next().unwrap_or_default();
        *kinds.entry(format!("{kind} cloexec={}", descriptor.cloexec)).or_default() += 1;
    }
    kinds
}

pub(crate) fn children(pid: Pid) -> String {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("the process is there");
    let of = |task: std::io::Result<fs::DirEntry>| fs::read_to_string(task.ok()?.path().join("children")).ok();
    tasks.filter_map(of).collect()
}

/// How many sockets a process has, and for how many descriptors its table has room.
fn sockets_and_room(pid: Pid) -> [usize; 2] {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it is there");
    let room = status.lines().find_map(|line| line.strip_prefix("FDSize:")).expect("the kernel says so");
    [Census::of(pid).targets("socket:").count(), room.trim().parse().expect("it is a number")]
}
