//! A handover that does not fit into its deadline: what was not handed over is closed politely, and counted in a line.

use std::thread::sleep;
use std::time::{Duration, Instant};

use testkit::load::allow_descriptors;
use testkit::{End, Ending, Generations, Wire, field, freeze, hold, thaw, wait_until};

use crate::server::start;

/// Opens this many idle connections. Every other one has had an answer.
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

/// Each client asks: the new process answers on the old connection, or the connection was closed. Returns the number of
/// each.
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

/// Upgrades with this many idle connections and this little time: each connection is taken over or closed, and counted.
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
    assert_eq!(handed_over + closed, clients, "each connection is one or the other: {line}");
    assert!(closed > 0, "all of them fitted into {drain_timeout}, so this shows nothing: {line}");
    assert!(untold <= closed, "{line}");
    assert_eq!(taken(&mut server), handed_over, "the other side has to say the same: {line}");
    assert_eq!(kept_and_closed(idle), (handed_over, closed), "the clients have to see the same: {line}");
    untold
}

/// There may be no time to tell them all. The log says that, too.
#[test]
fn idle_connections_that_cannot_even_be_told_in_time_are_counted() {
    all_are_kept_or_closed_and_counted(4000, "20ms");
}

#[test]
fn idle_connections_at_a_deadline_of_zero_are_counted() {
    all_are_kept_or_closed_and_counted(100, "0s");
}

/// How many clients are with the successor when it is stopped, and how many with the old process.
const HALF: usize = 100;

/// Upgrades to a process that is stopped (SIGSTOP) when it has half of the connections. The other half becomes idle at this
/// time of the drain, or as soon as possible. Returns both halves; a client that is told to close is not among them.
#[track_caller]
fn stuck_halfway(server: &mut Generations, at: Duration) -> (Vec<Wire>, Vec<Wire>) {
    let mut with_the_new = idle(server, HALF);
    let mut busy: Vec<_> = (0..HALF).map(|_| hold(server.address())).collect();
    server.upgrade();
    let began = Instant::now();
    for client in &mut with_the_new {
        wait_until("the successor has the connection", || client.ask("/").header("x-generation") == Some("2"));
    }
    freeze(server.serving);
    sleep(at.saturating_sub(began.elapsed()));
    for client in &mut busy {
        client.send("rest.");
    }
    busy.retain_mut(|client| {
        let reply = client.reply();
        assert_eq!(reply.text(), "firstrest.");
        !reply.says_close()
    });
    (with_the_new, busy)
}

/// Every client asks meanwhile; the old process says why it hands over no more.
#[track_caller]
fn a_stuck_successor_costs_no_request(drain_timeout: &str, at: Duration, why: &str) {
    let mut server = start(&["--drain-timeout", drain_timeout]);
    let (mut with_the_new, mut with_the_old) = stuck_halfway(&mut server, at);
    for client in with_the_new.iter_mut().chain(&mut with_the_old) {
        client.get("/");
    }
    server.program.line(why);
    assert_eq!(server.program.wait(), End::Exited(0), "{}", server.program.output());
    thaw(server.serving);
    for (generation, clients) in [("1", with_the_old), ("2", with_the_new)] {
        for mut client in clients {
            let reply = client.reply();
            assert_eq!(reply.header("x-generation"), Some(generation), "{reply:?}");
        }
    }
    assert_eq!(taken(&mut server), HALF);
}

/// The handover ends after 3.75 s, with less than a second to go until the successor counts as stuck: what is on its way comes
/// back in time to be answered.
#[test]
fn a_successor_that_is_stuck_until_the_deadline_costs_no_request() {
    a_stuck_successor_costs_no_request("6s", Duration::from_millis(3100), "there is no more time");
}

#[test]
fn a_successor_that_is_stuck_for_a_second_gets_no_more() {
    a_stuck_successor_costs_no_request("1h", Duration::ZERO, "the successor is stuck");
}

#[test]
fn idle_connections_are_told_in_time_if_the_successor_is_stuck() {
    let mut server = start(&["--drain-timeout", "8s"]);
    let (with_the_new, with_the_old) = stuck_halfway(&mut server, Duration::ZERO);
    let told = server.program.line("every connection was handed over or closed politely");
    assert!(told.contains(&format!("handed_over={HALF} closed={HALF}")), "{told}");
    assert_eq!(server.program.wait(), End::Exited(0));
    thaw(server.serving);
    assert_eq!(kept_and_closed(with_the_old), (0, HALF));
    assert_eq!(kept_and_closed(with_the_new), (HALF, 0));
}
