//! The journal accounts for every request, the lost ones included.

use std::io::Write as _;

use testkit::load::{Entry, Fate, Plan};

use crate::server::{HELLO, request, tcp};

#[test]
fn the_journal_has_an_entry_for_each_request_with_its_fate() {
    let answer = HELLO.replace("x-generation: 1", "x-generation: 1\r\nx-pid: 4001");
    // Each connection is good for two answers, and cuts off what is asked next.
    let address = tcp(move |_, stream| {
        for _ in 0..2 {
            assert!(request(stream));
            stream.write_all(answer.as_bytes()).unwrap();
        }
        request(stream);
    });
    let load = Plan::new(&address).connections(2).journal().start();
    load.wait_for_answers(6);
    let tally = load.stop();

    let of = |fate| tally.journal.iter().filter(|entry| entry.fate == fate).count() as u64;
    assert_eq!((of(Fate::Answered(4001)), of(Fate::Cut)), (tally.answered, tally.lost), "{:?}", tally.journal);
    assert_eq!(tally.journal.len() as u64, tally.requests);
    for client in 0..2 {
        let entries: Vec<&Entry> = tally.journal.iter().filter(|entry| entry.client == client).collect();
        assert!(!entries.is_empty(), "client {client} asked something");
        assert!(entries.iter().all(|entry| entry.from <= entry.to));
        assert!(entries.is_sorted_by_key(|entry| entry.from), "a client asks one request after the other: {entries:?}");
    }
}

#[test]
fn a_connection_that_does_not_come_about_is_a_refused_request() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let load = Plan::new(&nobody.to_string()).connections(1).journal().start();
    load.wait_until_warm();
    let tally = load.stop();
    assert!(tally.journal.iter().all(|entry| entry.fate == Fate::Refused), "{:?}", tally.journal);
    assert_eq!(tally.journal.len() as u64, tally.refused);
}

#[test]
fn nobody_keeps_a_journal_who_was_not_asked_to() {
    let load = Plan::new(&tcp(|_, stream| crate::server::answer_all(stream, HELLO))).connections(1).start();
    load.wait_for_answers(2);
    assert_eq!(load.stop().journal.len(), 0);
}
