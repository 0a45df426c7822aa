//! The option that says whether connections go to the new process.

use testkit::{Ending, Wire, await_exit, wait_until};

use crate::server::{BINARY, deployment, start};

/// Asks until an answer says that it is the last one, and asserts that `generation` gives them all. It answers as always until
/// it has found that its successor takes no connections.
#[track_caller]
fn assert_closed_politely(mut client: Wire, generation: &str) {
    wait_until("an answer says that the connection will be closed", || {
        let reply = client.ask("/");
        assert_eq!(reply.header("x-generation"), Some(generation), "the connection should not have changed hands");
        reply.says_close()
    });
    assert_eq!(client.ending(), Ending::Eof);
}

/// A connection that has been used.
fn kept(address: &str) -> Wire {
    let mut client = Wire::connect(address);
    client.ask("/");
    client
}

#[test]
fn on_keeps_a_connection_through_upgrades() {
    for options in [&[][..], &["--handover=on"]] {
        let mut server = start(options);
        let mut client = kept(server.address());
        for generation in 2..=4 {
            await_exit(server.upgrade());
            let reply = client.ask("/");
            assert!(!reply.says_close(), "the connection should stay open: {reply:?}");
            assert_eq!(reply.header("x-generation"), Some(&*generation.to_string()));
        }
    }
}

#[test]
fn off_closes_a_connection_in_use_with_its_next_answer() {
    let mut server = start(&["--handover=off"]);
    let client = kept(server.address());
    let old = server.upgrade();
    assert_closed_politely(client, "1");
    await_exit(old);
}

#[test]
fn off_closes_an_idle_connection_in_order() {
    let mut server = start(&["--handover=off", "--drain-timeout", "400ms"]);
    let mut client = kept(server.address());
    let old = server.upgrade();
    assert_eq!(client.ending(), Ending::Eof);
    await_exit(old);
    assert_eq!(server.program.count("cut"), 0, "{}", server.program.output());
}

#[test]
fn a_new_version_can_switch_it_off_or_on() {
    for (old, new) in [("on", "off"), ("off", "on")] {
        let deployment = deployment();
        let mut server = deployment.start(&["--handover", old]);
        let client = kept(server.address());
        deployment.put_script(&format!("exec {BINARY} --listen {} --handover={new}", server.address()));
        let first = server.upgrade();
        // It takes two to hand a connection over.
        assert_closed_politely(client, "1");
        await_exit(first);
        server.assert_answered_by(2);
    }
}
