//! What the field's servers cost, beside ours.
//!
//! The invariant: every server that the page speaks of is there with every figure and every verdict, and what the page says
//! about how each of them is made holds. How much and how long is not asserted.

use super::comparison::in_a_cell;
use super::values::{number, read, values};

/// What to do about a failure.
const AGAIN: &str = "measure again: cargo run --release -p lab -- peers --book book/src/gen/peers";

/// The same for idle connections.
const IDLE_AGAIN: &str = "measure again: cargo run --release -p lab -- peers --idle --book book/src/gen/peers";

const OURS: [&str; 2] = ["polite_drain", "handover"];
const OTHERS: [&str; 7] = ["grace", "tableflip", "ecdysis", "nginx_reload", "nginx_binary", "haproxy", "haproxy_best"];

#[test]
fn every_server_of_the_field_is_there_with_every_figure() {
    let (values, table) = (values("gen/peers/values.md"), read("gen/peers/table.md"));
    for server in OURS.into_iter().chain(OTHERS) {
        for column in lab::restart::COLUMNS {
            let key = format!("{server}_{}", column.key);
            assert!(number(&values, &key, AGAIN) >= 0.0, "{key}; {AGAIN}");
            assert!(in_a_cell(&table, &values[&key]), "{key} is only in values.md; {AGAIN}");
        }
        assert!(
            number(&values, &format!("{server}_requests"), AGAIN) > 1000.0,
            "{server} was hardly under load; {AGAIN}"
        );
    }
    assert!(number(&values, "repeats", AGAIN) >= 3.0, "too few runs for a median; {AGAIN}");
    assert!(values.contains_key("machine_versions"), "the versions of the servers are missing; {AGAIN}");
}

#[test]
fn each_server_of_the_field_costs_what_its_page_explains() {
    let values = values("gen/peers/values.md");
    let number = |server: &str, figure| number(&values, &format!("{server}_{figure}"), AGAIN);
    for ours in OURS {
        assert_eq!(values[&format!("{ours}_lost_in_worst_run")], "0", "{ours} lost a request: find out why");
        assert!(number(ours, "both_serve") <= 10.0, "two versions of {ours} answered side by side: find out why");
    }
    assert_eq!(values["handover_closed"], "0", "a connection was closed: find out why");
    for other in OTHERS {
        assert!(number(other, "closed") > 0.0, "{other} should close connections; {AGAIN}");
    }
    for losing in ["grace", "ecdysis", "nginx_reload", "nginx_binary"] {
        assert!(number(losing, "lost") > 0.0, "{losing} should lose requests; {AGAIN}");
    }
}

#[test]
fn each_server_of_the_field_meets_each_fault_as_its_page_says() {
    let values = values("gen/peers/faults-values.md");
    for ours in OURS {
        for fault in ["missing", "exits", "hangs"] {
            assert_eq!(values[&format!("{ours}_{fault}")], "serves on, upgrades again", "{ours}, {fault}");
        }
        assert_eq!(values[&format!("{ours}_twice")], "a new process serves", "{ours}");
    }
    for (key, words) in [
        ("grace_missing", "service gone"),
        ("grace_twice", "2 processes answer side by side"),
        ("ecdysis_missing", "no new process"),
        ("tableflip_hangs", "no new process"),
        ("haproxy_exits", "service gone"),
        ("haproxy_hangs", "serves on, no new process"),
        ("nginx_binary_twice", "2 processes answer side by side"),
        ("nginx_reload_missing", "does not apply"),
        ("nginx_reload_configuration", "serves on, upgrades again"),
        ("haproxy_configuration", "serves on, upgrades again"),
    ] {
        assert!(values[key].contains(words), "{key}: {:?} should be {words:?}; {AGAIN}", values[key]);
    }
}

#[test]
fn each_server_of_the_field_treats_idle_connections_as_its_page_says() {
    let values = values("gen/peers/idle-values.md");
    let none = "does not speak it";
    let (moved, closed) = (["0 of 1,000", "0 of 100"], ["1,000 of 1,000", "100 of 100"]);
    let kept = ["0 of 1,000; the old process stays", "0 of 100; the old process stays"];
    for (server, cells) in [
        ("polite_drain", [closed[0], none, none, none]),
        ("handover", [moved[0], closed[0], none, none]),
        ("every_connection", [moved[0], moved[0], moved[1], moved[1]]),
        ("grace", [closed[0], none, none, none]),
        ("tableflip", [closed[0], none, none, none]),
        ("ecdysis", [closed[0], none, none, none]),
        ("nginx_reload", [closed[0], closed[0], kept[1], closed[1]]),
        ("nginx_binary", [closed[0], closed[0], kept[1], closed[1]]),
        ("haproxy", [closed[0], closed[0], kept[1], closed[1]]),
        ("haproxy_best", [kept[0], closed[0], kept[1], kept[1]]),
    ] {
        for (protocol, cell) in ["http1", "http2", "websocket", "tls"].into_iter().zip(cells) {
            let key = format!("{server}_{protocol}");
            assert_eq!(values[&key], cell, "{key}: read the page again, and {IDLE_AGAIN}");
        }
    }
}
