//! What a stall does to the latencies, and which window they go to.

use std::io::Write as _;
use std::time::Duration;

use testkit::load::Plan;

use crate::server::{HELLO, answer_all, request, tcp};

#[test]
fn a_marked_window_keeps_its_latencies_apart() {
    let load = Plan::new(&tcp(|_, stream| answer_all(stream, HELLO))).connections(2).start();
    load.wait_for_answers(10);
    let during = load.during();
    load.wait_for_answers(10);
    drop(during);
    load.wait_for_answers(10);
    let latency = load.stop().latency;
    assert!(latency.during.count() >= 10, "{latency:?}");
    assert!(latency.rest.count() >= 15, "{latency:?}");
}

/// Answers at once, but stalls for 200 ms before the hundredth answer.
fn stalling_server() -> String {
    tcp(|_, stream| {
        for number in 0.. {
            if !request(stream) {
                return;
            }
            if number == 100 {
                std::thread::sleep(Duration::from_millis(200));
            }
            stream.write_all(HELLO.as_bytes()).unwrap();
        }
    })
}

#[test]
fn a_stall_shows_in_every_request_that_was_due_meanwhile() {
    let load = Plan::new(&stalling_server()).connections(1).every(Duration::from_millis(2)).start();
    load.wait_for_answers(300);
    let latency = load.stop().latency.rest;
    // A hundred requests were due in the stall; they waited for 200, 198, 196 … ms.
    assert!(latency.quantile(0.99) >= Duration::from_millis(180), "{latency:?}");
    assert!(latency.quantile(0.80) >= Duration::from_millis(50), "{latency:?}");
}

/// What [`Plan::every`] is for: to a closed loop the same stall is one slow request.
#[test]
fn a_closed_loop_asks_once_in_a_stall() {
    let load = Plan::new(&stalling_server()).connections(1).start();
    load.wait_for_answers(300);
    let latency = load.stop().latency.rest;
    assert!(latency.quantile(1.0) >= Duration::from_millis(180), "{latency:?}");
    assert!(latency.quantile(0.9) < Duration::from_millis(50), "{latency:?}");
}
