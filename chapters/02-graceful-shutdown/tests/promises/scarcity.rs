//! Out of descriptors: the server waits for better times, and does not spin.

use std::fs;
use std::time::{Duration, Instant};

use nix::unistd::Pid;
use rustix::process::{Resource, Rlimit, prlimit};
use testkit::{Census, Wire};

use crate::server::Server;

/// Leaves the process with no room for another descriptor, and returns the limits it had.
fn leave_no_room(pid: Pid) -> Rlimit {
    // The limit is on the number, and a new descriptor gets the lowest that is free: getrlimit(2).
    let descriptors = Census::of(pid).descriptors;
    let current = (0..i32::MAX).find(|number| !descriptors.contains_key(number)).map(i32::cast_unsigned).map(u64::from);
    let maximum = rustix::process::getrlimit(Resource::Nofile).maximum;
    limit(pid, Rlimit { current, maximum })
}

fn limit(pid: Pid, to: Rlimit) -> Rlimit {
    prlimit(rustix::process::Pid::from_raw(pid.as_raw()), Resource::Nofile, to)
        .expect("our child's limit is ours to set")
}

/// Clock ticks (a hundred a second) that the process has spent on a processor: the 14th and 15th field, proc_pid_stat(5).
fn ticks(pid: Pid) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the server runs");
    let (_, after_name) = stat.rsplit_once(") ").expect("the second field is a name in parentheses");
    let fields = after_name.split(' ').skip(11).take(2);
    fields.map(|field| field.parse::<u64>().expect("ticks are a number")).sum()
}

/// A server with one client and no room for another, and clients that wait with a request sent.
fn crowded() -> (Server, Wire, Vec<Wire>, Rlimit) {
    let mut server = Server::start(&[]);
    let mut inside = server.connect();
    inside.ask("/");
    let before = leave_no_room(server.program.pid());
    let mut waiting: Vec<Wire> = (0..5).map(|_| server.connect()).collect();
    for client in &mut waiting {
        client.get("/");
    }
    server.program.line("cannot accept");
    (server, inside, waiting, before)
}

#[test]
fn without_descriptors_it_serves_on_and_accepts_when_there_are_some_again() {
    let began = Instant::now();
    let (mut server, mut inside, waiting, before) = crowded();
    let pid = server.program.pid();
    let ticks_before = ticks(pid);
    // The pauses double: 10, 20, 40, 80 and 160 ms lie between the second complaint and the seventh.
    for _ in 2..=7 {
        server.program.line("cannot accept");
        assert_eq!(inside.ask("/").status, 200, "connected clients are served");
    }
    let spent = ticks(pid) - ticks_before;
    assert!(spent < 20, "{spent} ticks of 10 ms in 0.3 s of waiting: does the accept loop spin?");
    let took = began.elapsed();
    assert!(took > Duration::from_millis(300), "seven complaints within {took:?}: the pause between two should double");

    limit(pid, before);
    for mut client in waiting {
        assert_eq!(client.reply().status, 200, "it waited in the queue until there was room");
    }
    drop(inside);
    server.drain();
    server.assert_ends_well();
}

#[test]
fn in_a_drain_those_in_the_queue_take_the_places_of_those_who_leave() {
    let (mut server, inside, waiting, _) = crowded();
    server.drain();
    drop(inside);
    for mut client in waiting {
        assert_eq!(client.reply().status, 200, "it was in the queue when the drain began");
    }
    server.assert_ends_well();
}
