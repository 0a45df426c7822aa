//! A handover that does not fit into its deadline: what was not handed over is closed politely, and counted in a line.

use nix::sys::signal::Signal;
use testkit::load::allow_descriptors;
use testkit::{End, Ending, Generations, Wire, field};

use crate::server::start;

/// So many idle connections, every other one of which has asked something.
fn idle(server: &Generations, clients: usize) -> Vec<Wire> {
    allow_descriptors(u32::try_from(clients).expect("not so many"));
    let mut clients: Vec<_> = (0..clients).map(|_| Wire::connect(server.address())).collect();
    // The queue is first in, first out: when the last one was answered, all of them were accepted.
    for client in clients.iter_mut().rev().step_by(2) {
        assert_eq!(client.ask("/").status, 200);
    }
    clients
}

/// How many connections the successor took over, by its own account.
fn taken(server: &mut Generations) -> usize {
    let line = server.program.line("connections taken over");
    field(&line, "taken").and_then(|taken| taken.parse().ok()).expect("a number")
}

/// Each client asks: it is answered by the new process on its old connection, or its connection was closed. Returns how many
/// there are of each.
#[track_caller]
fn kept_and_closed(clients: Vec<Wire>) -> (usize, usize) {
    let (mut kept, mut closed) = (0, 0);
    for mut client in clients {
        let asked = client.try_send("GET / HTTP/1.1\r\nHost: lab\r\n\r\n").map_err(|_| Ending::Reset);
        match asked.and_then(|()| client.reply_or_ending()) {
            Ok(reply) => {
                assert_eq!(reply.header("x-generation"), Some("2"), "{reply:?}");
                kept += 1;
            }
            Err(_) => closed += 1,
        }
    }
    (kept, closed)
}

/// So many idle connections, and an old process with so little time: each connection is taken over, or closed, and counted.
/// Returns how many were closed without notice, by the old process's account.
#[track_caller]
fn all_are_kept_or_closed_and_counted(clients: usize, drain_timeout: &str) -> usize {
    let mut server = start(&["--drain-timeout", drain_timeout]);
    let idle = idle(&server, clients);
    server.upgrade();
    assert_eq!(server.program.wait(), End::Exited(0), "an idle connection is no request that was cut");
    let line = server.program.line(" closed=");
    let number = |key| field(&line, key).map_or(0, |number| number.parse().expect("a number"));
    let (handed_over, closed, untold): (usize, usize, usize) =
        (number("handed_over"), number("closed"), number("untold"));
    assert_eq!(handed_over + closed, clients, "each is one or the other: {line}");
    assert!(closed > 0, "all of them fitted into {drain_timeout}, so this shows nothing: {line}");
    assert!(untold <= closed, "{line}");
    assert_eq!(taken(&mut server), handed_over, "the other side has to say the same: {line}");
    assert_eq!(kept_and_closed(idle), (handed_over, closed), "the clients have to see the same: {line}");
    untold
}

#[test]
fn idle_connections_that_do_not_go_over_in_time_are_closed_and_counted() {
    all_are_kept_or_closed_and_counted(3000, "300ms");
}

/// There may be no time to tell them all. That is said, too.
#[test]
fn idle_connections_that_cannot_even_be_told_in_time_are_counted() {
    all_are_kept_or_closed_and_counted(4000, "20ms");
}

#[test]
fn idle_connections_at_a_deadline_of_zero_are_counted() {
    all_are_kept_or_closed_and_counted(100, "0s");
}

/// Upgrades to a process that is stopped (SIGSTOP) as soon as it serves, in the midst of taking over.
fn upgrade_to_a_stuck_one(server: &mut Generations) {
    server.upgrade();
    server.signal(Signal::SIGSTOP);
}

/// Every client asks meanwhile; the old process says why it hands over no more.
#[track_caller]
fn a_stuck_successor_costs_no_request(drain_timeout: &str, why: &str) {
    const CLIENTS: usize = 600;
    let mut server = start(&["--drain-timeout", drain_timeout]);
    let mut clients = idle(&server, CLIENTS);
    upgrade_to_a_stuck_one(&mut server);
    for client in &mut clients {
        client.get("/");
    }
    server.program.line(why);
    assert_eq!(server.program.wait(), End::Exited(0), "{}", server.program.output());
    server.signal(Signal::SIGCONT);
    let (mut by_the_old, mut by_the_new) = (0, 0);
    for client in &mut clients {
        let reply = client.reply();
        match reply.header("x-generation") {
            Some("1") => by_the_old += 1,
            Some("2") => by_the_new += 1,
            other => panic!("generation {other:?} has answered: {reply:?}"),
        }
    }
    assert_eq!(by_the_old + by_the_new, CLIENTS);
    assert!(by_the_old > 0, "it took over all of them before it was stopped, so this shows nothing");
    let taken = taken(&mut server);
    assert!(by_the_new <= taken, "{by_the_new} were answered by a process that took over {taken}");
}

/// Less than a second: what is on its way comes back in time to be answered, if only just.
#[test]
fn a_successor_that_is_stuck_until_the_deadline_costs_no_request() {
    a_stuck_successor_costs_no_request("1200ms", "there is no more time");
}

#[test]
fn a_successor_that_is_stuck_for_a_second_gets_no_more() {
    a_stuck_successor_costs_no_request("1h", "the successor is stuck");
}

#[test]
fn idle_connections_are_told_in_time_if_the_successor_is_stuck() {
    const CLIENTS: usize = 600;
    let mut server = start(&["--drain-timeout", "3s"]);
    let clients = idle(&server, CLIENTS);
    upgrade_to_a_stuck_one(&mut server);
    let told = server.program.line("every connection was handed over or told");
    assert_eq!(server.program.wait(), End::Exited(0));
    let number = |key| field(&told, key).and_then(|number| number.parse::<usize>().ok()).expect("a number");
    let (handed_over, closed) = (number("handed_over"), number("closed"));
    assert!(closed > 0, "it took over all of them before it was stopped, so this shows nothing");
    server.signal(Signal::SIGCONT);
    assert_eq!(kept_and_closed(clients), (handed_over, closed), "{told}");
}
