//! A log that was doctored is refused: the tests of the chapters replay the logs of their servers, and could not fail otherwise.
//!
//! The log is a real one: a process is killed while its successor (27508) starts, which serves then, and is replaced in its turn.

use protocol::replay::replay;

const LOG: &str = include_str!("killed.log");

fn lines() -> Vec<&'static str> {
    LOG.lines().collect()
}

#[track_caller]
fn is_refused(what: &str, log: &[&str]) {
    assert!(replay(log.iter().copied()).is_err(), "{what}, and the model allows it:\n{}", log.join("\n"));
}

#[test]
fn a_log_is_replayed_however_early_it_ends() {
    for length in 0..=lines().len() {
        assert_eq!(replay(lines().into_iter().take(length)), Ok(()));
    }
}

#[test]
fn a_log_without_one_of_its_lines_is_refused() {
    for missing in 0..lines().len() - 1 {
        let mut log = lines();
        log.remove(missing);
        is_refused(&format!("line {missing} is missing"), &log);
    }
}

#[test]
fn a_log_in_another_order_is_refused() {
    for first in 0..lines().len() - 1 {
        let mut log = lines();
        log.swap(first, first + 1);
        // The old process has drained, and the new one accepts: neither waits for the other.
        if first == 5 {
            assert_eq!(replay(log), Ok(()));
        } else {
            is_refused(&format!("line {first} comes late"), &log);
        }
    }
}

#[test]
fn a_transition_that_is_not_in_the_table_is_refused() {
    for (this, that) in [("Retiring", "Committed"), ("event=Drained", "event=SuccessorGone"), ("[Accept]", "[]")] {
        let log = LOG.replace(this, that);
        is_refused(&format!("{that} in place of {this}"), &log.lines().collect::<Vec<_>>());
    }
}

/// All of them are in the table.
#[test]
fn an_event_that_was_not_caused_is_refused() {
    let line = |process, life: &str, event| {
        format!("DEBUG graceful_upgrade::runner: process={process} from={life} event={event} to={life} actions=[]")
    };
    let serving = "Life { state: Serving, older: 1, drained: false, replaced: false }";
    let upgrading = "Life { state: Upgrading, older: 0, drained: false, replaced: false }";
    let begins = "Life { state: Standby, older: 1, drained: false, replaced: false }";
    for (what, line) in [
        ("a process without a successor hears of it", line(27518, serving, "SuccessorReady")),
        ("the drain of a process that serves ends", line(27518, serving, "Drained")),
        ("a process that was killed goes on", line(27484, upgrading, "Drained")),
        ("a process appears that was not started", line(1, begins, "Drained")),
    ] {
        let mut log = lines();
        log.push(&line);
        is_refused(what, &log);
    }
}
