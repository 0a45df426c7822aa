//! A stop that balancers hear of: not ready any more, and everything else as before, for a while.

use std::thread;

use graceful_shutdown::ONE_WISH;
use nix::sys::signal::Signal;
use testkit::Wire;

use crate::server::start;

#[test]
fn in_the_pause_readyz_says_no_and_everything_is_answered() {
    let mut server = start(&["--pause", "1h"]);
    let mut kept = Wire::connect(server.address());
    kept.ask("/");
    server.signal(Signal::SIGTERM);
    server.program.line("not ready any more");
    assert_eq!(Wire::connect(server.address()).ask("/readyz").status, 503);
    server.assert_answered_by(1);
    let answer = kept.ask("/");
    assert!(answer.status == 200 && !answer.says_close(), "{answer:?}");
    // A second, later signal does not wait for its end.
    thread::sleep(2 * ONE_WISH);
    server.signal(Signal::SIGTERM);
    server.program.wait();
}

#[test]
fn after_the_pause_the_service_stops() {
    let mut server = start(&["--pause", "200ms"]);
    server.signal(Signal::SIGTERM);
    server.program.line("not ready any more");
    let end = server.program.wait();
    assert_eq!(end.code(), 0, "{end:?}");
}
