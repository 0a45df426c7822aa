//! Rooms whose members are in two processes: each hears everything, once, and in one order.

use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use testkit::{Deployment, Generations, Systemd, example, freeze, thaw, wait_until};

use crate::server::BINARY;
use crate::websocket::{FIN, PING, PONG, TEXT, Websocket};

/// Half of them are in the middle of a message, and stay in the old process until that ends.
const MEMBERS: usize = 50;

pub(crate) fn start() -> Generations {
    let mut command = Command::new(example(BINARY, "websocket_room"));
    // Its log has colours otherwise.
    Generations::start(command.arg("127.0.0.1:0").env("NO_COLOR", "1"), 1)
}

struct Member {
    websocket: Websocket,
    /// Where it would come back.
    position: u64,
    heard: Vec<String>,
}

impl Member {
    fn open(address: &str) -> Member {
        let websocket = Websocket::open_at(address, "/");
        Member { position: websocket.position.expect("it is told"), websocket, heard: vec![] }
    }

    /// Comes back, once the process that served it is gone.
    fn come_back(&mut self, address: &str) {
        self.websocket.wire.rest();
        self.websocket = Websocket::open_at(address, &format!("/?from={}", self.position));
    }

    fn say(&mut self, line: &str) {
        self.websocket.say(line);
    }

    fn begins(&mut self, line: &str) {
        self.websocket.send(TEXT, line.as_bytes());
        // In this order, so the process has it.
        self.websocket.send(FIN | PING, b"");
        assert_eq!(self.websocket.read(), (FIN | PONG, vec![]));
    }

    fn ends(&mut self, line: &str) {
        self.websocket.send(FIN, line.as_bytes());
    }

    /// Reads until it hears this line, and returns the generation that took it from the member that said it.
    fn hears(&mut self, line: &str) -> u64 {
        loop {
            let (first, payload) = self.websocket.read();
            assert_eq!(first, FIN | TEXT, "{payload:?}");
            let text = String::from_utf8(payload).expect("it is text");
            let (position, heard) = text.split_once(' ').expect("it begins with a position");
            self.position = position.parse().expect("a number");
            self.heard.push(heard.to_owned());
            let (generation, text) = heard.split_once(' ').expect("it begins with a generation");
            if text == line {
                return generation.parse().expect("a number");
            }
        }
    }

    /// Talks until it is served by this generation.
    fn goes_to(&mut self, generation: u64, name: usize) {
        let mut lines = 0;
        wait_until("the member goes over", || {
            let line = format!("{name} moves {lines}");
            lines += 1;
            self.say(&line);
            self.hears(&line) == generation
        });
    }
}

/// An upgrade half-way: some members are in the new process, and the others are held up in the old one.
fn half_way(server: &mut Generations) -> (Pid, Vec<Member>, Vec<Member>) {
    let mut free: Vec<_> = (0..MEMBERS / 2).map(|_| Member::open(server.address())).collect();
    let mut held: Vec<_> = (0..MEMBERS / 2).map(|_| Member::open(server.address())).collect();
    for member in &mut held {
        member.begins("held ");
    }
    let old = server.upgrade();
    let (generation, members) = (server.generation, free.iter_mut().enumerate());
    members.for_each(|(name, member)| member.goes_to(generation, name));
    (old, free, held)
}

/// Asserts that all have heard the same, and nothing twice, when all have heard the last line; returns what they have.
#[track_caller]
fn assert_heard_the_same(mut members: Vec<Member>) -> Vec<String> {
    members[0].say("the end");
    for member in &mut members {
        member.hears("the end");
    }
    let heard = members.swap_remove(0).heard;
    for member in members {
        assert_eq!(member.heard, heard, "all should hear the same");
    }
    let mut once = heard.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), heard.len(), "each line is said once, and should be heard once: {heard:?}");
    heard
}

#[test]
fn members_in_both_processes_hear_the_same() {
    let mut server = start();
    let (_, mut free, mut held) = half_way(&mut server);
    let mut said_by = vec![];
    for (number, (free, held)) in free.iter_mut().zip(&mut held).enumerate() {
        free.say(&format!("{number}"));
        said_by.push(held.hears(&format!("{number}")));
        held.ends(&format!("{number}"));
        said_by.push(free.hears(&format!("held {number}")));
    }
    assert_eq!(said_by, [2, 1].repeat(MEMBERS / 2), "both should have had members");
    held.iter_mut().enumerate().for_each(|(name, member)| member.goes_to(2, MEMBERS + name));
    free.extend(held);
    let heard = assert_heard_the_same(free);
    assert!(heard.len() > 2 * MEMBERS, "all should have talked: {heard:?}");
}

#[test]
fn an_old_process_that_is_killed_half_way_takes_nothing_with_it() {
    let mut server = start();
    let (old, mut free, mut held) = half_way(&mut server);
    held[0].ends("last words");
    // It is in the old process, and those of the new one hear it.
    assert_eq!(free[0].hears("held last words"), 1);
    held[0].goes_to(2, MEMBERS);
    free.push(held.swap_remove(0));
    kill(old, Signal::SIGKILL).expect("it is on probation");
    free[1].say("still there");
    for member in &mut held {
        member.come_back(server.address());
    }
    free.extend(held);
    assert_heard_the_same(free);
}

#[test]
fn a_new_process_that_is_killed_half_way_takes_nothing_with_it() {
    let mut server = start();
    let first = server.serving;
    let (_, mut free, mut held) = half_way(&mut server);
    free[0].say("last words");
    assert_eq!(held[0].hears("last words"), 2);
    kill(server.serving, Signal::SIGKILL).expect("it serves");
    (server.serving, server.generation) = (first, 0);
    server.next_generation(1);
    held.iter_mut().enumerate().for_each(|(name, member)| member.ends(&name.to_string()));
    for member in &mut free {
        member.come_back(server.address());
    }
    held.iter_mut().enumerate().for_each(|(name, member)| member.goes_to(1, MEMBERS + name));
    held.extend(free);
    assert_heard_the_same(held);
}

#[test]
fn a_process_that_stands_still_half_way_holds_up_its_own_members_alone() {
    let mut server = start();
    let (old, mut free, mut held) = half_way(&mut server);
    freeze(old);
    held.iter_mut().enumerate().for_each(|(name, member)| member.ends(&format!("up {name}")));
    for number in 0..10 {
        free[0].say(&format!("{number}"));
        assert_eq!(free[1].hears(&format!("{number}")), 2);
    }
    thaw(old);
    for (name, member) in held.iter_mut().enumerate() {
        assert_eq!(member.hears(&format!("held up {name}")), 1);
    }
    free.extend(held);
    assert_heard_the_same(free);
}

#[test]
fn an_upgrade_that_fails_is_not_heard_of() {
    let deployment = Deployment::of(example(BINARY, "websocket_room"));
    let mut command = Command::new(deployment.server());
    let mut server = Generations::start(command.arg("127.0.0.1:0").env("NO_COLOR", "1"), 1);
    let mut members: Vec<_> = (0..5).map(|_| Member::open(server.address())).collect();
    deployment.put_script("exit 7");
    for (number, member) in members.iter_mut().enumerate() {
        member.say(&format!("before {number}"));
        server.upgrade_in_vain();
        member.say(&format!("after {number}"));
    }
    members.iter_mut().enumerate().for_each(|(number, member)| _ = member.hears(&format!("after {number}")));
    assert_eq!(assert_heard_the_same(members).len(), 11);
}

#[test]
fn a_successor_that_knows_nothing_of_rooms_leaves_them_to_the_old_process() {
    let deployment = Deployment::of(example(BINARY, "websocket_room"));
    let mut command = Command::new(deployment.server());
    let mut server = Generations::start(command.arg("127.0.0.1:0").env("NO_COLOR", "1"), 1);
    let (mut old_member, mut other) = (Member::open(server.address()), Member::open(server.address()));
    deployment.put(&example(BINARY, "websocket_counter"));
    let old = server.upgrade();
    server.program.line("this version takes no");
    other.say("the end");
    assert_eq!(old_member.hears("the end"), 1);
    // The next version has a room of its own, and one that was in the other hears that it has missed some.
    deployment.put(&example(BINARY, "websocket_room"));
    server.upgrade();
    kill(old, Signal::SIGKILL).expect("it serves its members");
    let mut new = Member::open(server.address());
    new.say("hello");
    new.hears("hello");
    old_member.come_back(server.address());
    old_member.hears("hello");
    assert_eq!(old_member.heard, ["1 the end", "0 some lines are gone", "3 hello"]);
}

/// A client that does not read, until more was said than the kernel holds for it and the room keeps.
#[test]
fn a_member_that_lags_is_told_so_and_holds_up_no_other() {
    let mut server = start();
    let (mut member, mut lagging) = (Member::open(server.address()), Member::open(server.address()));
    for number in 0..200 {
        let line = format!("{number} {}", "x".repeat(60_000));
        member.say(&line);
        member.hears(&line);
        if number % 50 == 0 {
            server.upgrade();
        }
    }
    member.say("the end");
    member.hears("the end");
    lagging.hears("the end");
    // More than once, if more is said than the room keeps while its connection goes over.
    let runs: Vec<_> = lagging.heard.split(|line| line == "0 some lines are gone").collect();
    assert!(runs.len() > 1, "it is told");
    let mut all = &member.heard[..];
    for (number, run) in runs.into_iter().enumerate() {
        let gap = run.first().and_then(|first| all.iter().position(|line| line == first)).unwrap_or(0);
        assert!(number > 0 || gap == 0, "it begins without a gap");
        let (same, rest) = all[gap..].split_at(run.len());
        assert!(run == same, "it goes on without a gap that it is not told of");
        all = rest;
    }
    assert!(all.is_empty(), "it hears the end");
}

/// The example, as a service.
const UNIT: &str = "[Service]
Type=notify
NotifyAccess=all
ExecStart=/usr/local/bin/websocket_room 127.0.0.1:48567
Restart=on-failure
FileDescriptorStoreMax=16
";

#[test]
fn under_systemd_a_room_outlives_a_crash_of_all_its_processes() {
    let program = example(BINARY, "websocket_room");
    let Some(systemd) = Systemd::start(&[("room.service", UNIT)], &[program.to_str().expect("our own path")]) else {
        return;
    };
    assert!(systemd.ctl(&["start", "room.service"]).status.success());
    let address = "127.0.0.1:48567";
    let mut members: Vec<_> = (0..5).map(|_| Member::open(address)).collect();
    for round in 0..2 {
        let line = format!("before crash {round}");
        members[0].say(&line);
        assert_eq!(members[1].hears(&line), 1);
        assert!(systemd.ctl(&["kill", "--kill-whom=main", "-s", "KILL", "room.service"]).status.success());
        for member in &mut members {
            member.come_back(address);
        }
        assert_eq!(systemd.show("room.service", "NFileDescriptorStore"), "2", "the listener, and the room once");
    }
    let heard = assert_heard_the_same(members);
    assert_eq!(heard, ["1 before crash 0", "1 before crash 1", "1 the end"]);
}
