//! Generations that do not all know how to hand connections over: they find out, and nothing is guessed.
//!
//! The other program is chapter 4's, compiled as an example of this one (see `Cargo.toml`).

use std::path::PathBuf;

use testkit::{Deployment, Generations, Wire, await_exit, example};

use crate::server::{BINARY, assert_served_by, assert_told_by};

fn chapter_4() -> PathBuf {
    example(BINARY, "graceful-upgrade")
}

/// Upgrades to what `put` puts in place, and asserts that the old generation closes the connection politely.
#[track_caller]
fn assert_closed_politely_by(server: &mut Generations, client: &mut Wire, put: impl FnOnce()) {
    let generation = server.generation;
    assert_served_by(client, generation);
    put();
    let old = server.upgrade();
    assert_told_by(client, generation);
    await_exit(old);
    server.assert_answered_by(generation + 1);
}

#[test]
fn to_chapter_4_and_back_connections_are_closed_politely_and_from_then_on_they_stay() {
    let deployment = Deployment::of(BINARY);
    let mut server = deployment.start(&[]);
    let mut client = Wire::connect(server.address());
    assert_closed_politely_by(&mut server, &mut client, || deployment.put(&chapter_4()));
    let mut client = Wire::connect(server.address());
    assert_closed_politely_by(&mut server, &mut client, || deployment.put_binary());
    let mut client = Wire::connect(server.address());
    for generation in 3..5 {
        assert_served_by(&mut client, generation);
        await_exit(server.upgrade());
    }
    assert_served_by(&mut client, 5);
}

#[test]
fn connections_that_stay_silent_are_closed_when_the_successor_does_not_know_them() {
    let deployment = Deployment::of(BINARY);
    let mut server = deployment.start(&["--drain-timeout", "1h"]);
    let mut clients: Vec<_> = (0..100).map(|_| Wire::connect(server.address())).collect();
    deployment.put(&chapter_4());
    let old = server.upgrade();
    for client in &mut clients {
        assert_eq!(client.ending(), testkit::Ending::Eof);
    }
    await_exit(old);
}
