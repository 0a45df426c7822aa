//! Generations that do not all know how to hand connections over: they find out, and nobody guesses.

use lab::{Deployment, Wire, await_exit};

use crate::server::{BINARY, assert_served_by};

/// What a version without handover does, chapter 4's say: it has no use for the channel, and says so.
const WITHOUT: &str = r#"exec "$(dirname "$0")/server.real" "$@" --handover=off"#;

#[test]
fn a_successor_that_does_not_know_it_gets_its_connections_the_usual_way() {
    let deployment = Deployment::of(BINARY);
    let mut server = deployment.start(&[]);
    let mut client = Wire::connect(server.address());
    deployment.put_script(&script(&deployment, WITHOUT));
    let old = server.upgrade();
    let last = client.ask("/");
    assert!(last.says_close() && last.header("x-generation") == Some("1"), "closed politely, please: {last:?}");
    await_exit(old);
    server.assert_answered_by(2);
}

#[test]
fn a_predecessor_that_does_not_know_it_keeps_its_connections_and_drains_them() {
    let deployment = Deployment::of(BINARY);
    let mut server = deployment.start(&["--handover", "off"]);
    let mut client = Wire::connect(server.address());
    // The arguments of the first start are kept, so the new version overrules them. The last one counts.
    let with = r#"HANDOVER=on; export HANDOVER; exec "$(dirname "$0")/server.real" "$1" "$2""#;
    deployment.put_script(&script(&deployment, with));
    let old = server.upgrade();
    let last = client.ask("/");
    assert!(last.says_close() && last.header("x-generation") == Some("1"), "closed politely, please: {last:?}");
    await_exit(old);

    // From here on both know it.
    let mut client = Wire::connect(server.address());
    let old = server.upgrade();
    await_exit(old);
    assert_served_by(&mut client, 3);
}

/// The script, with the program beside it.
fn script(deployment: &Deployment, script: &str) -> String {
    let real = deployment.path().join("server.real");
    std::fs::hard_link(BINARY, real).expect("a link on the same file system");
    script.to_owned()
}
