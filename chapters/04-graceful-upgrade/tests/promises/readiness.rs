//! `/readyz` is about the service, and not about a process: an upgrade is no reason to be taken out of a balancer.

use nix::sys::signal::Signal;
use testkit::{Wire, await_exit, hold};

use crate::server::start;

#[test]
fn a_health_check_on_a_kept_connection_does_not_notice_upgrades() {
    let mut server = start(&[]);
    let mut check = Wire::connect(server.address());
    assert_eq!(check.ask("/readyz").status, 200);
    for _ in 0..6 {
        let old = server.upgrade();
        server.program.line("draining");
        let last = check.ask("/readyz");
        assert_eq!(last.status, 200, "the service goes on, though this process does not");
        assert!(last.says_close(), "the client should come back on a new connection");
        check = Wire::connect(server.address());
        assert_eq!(check.ask("/readyz").status, 200);
        await_exit(old);
    }
}

#[test]
fn a_server_that_stops_is_not_ready() {
    let mut server = start(&["--drain-timeout", "1h"]);
    let mut check = Wire::connect(server.address());
    assert_eq!(check.ask("/readyz").status, 200);
    let mut held = hold(server.address());
    server.signal(Signal::SIGTERM);
    server.program.line("draining");
    assert_eq!(check.ask("/readyz").status, 503);
    held.send("rest.");
    held.reply();
    assert_eq!(server.program.wait().code(), 0);
}
