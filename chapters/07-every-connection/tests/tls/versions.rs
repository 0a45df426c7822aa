//! A version that encrypts, and one that does not: what the new one cannot serve stays, is answered, and is closed politely.

use std::io::{Read as _, Write as _};
use std::process::Command;

use nix::sys::signal::Signal;
use testkit::{Deployment, Wire, assert_ends_well, await_exit};

use crate::client::{answer, ask};
use crate::server::{BINARY, Files, rustls, start};

const SLOW: &str = "/sleep/?duration=300ms";

#[test]
fn a_plain_connection_stays_where_it_was_if_the_next_version_encrypts() {
    let Some(files) = Files::make() else { return };
    let deployment = Deployment::of(BINARY);
    let mut server = start(Command::new(deployment.server()));
    let [mut idle, mut busy] = [(); 2].map(|()| Wire::connect(server.address()));
    assert!(!idle.ask("/").says_close());
    busy.get(SLOW);
    deployment.put_script(&format!(r#"exec '{BINARY}' "$@" --tls '{}'"#, files.certificate_and_key().display()));
    let old = server.upgrade();
    let line = server.program.line("connections are left to the old process");
    assert!(line.contains("everything is encrypted on"), "{line}");
    let last = idle.ask("/");
    assert!(last.text().ends_with(" generation 1\n") && last.says_close(), "{last:?}");
    assert!(busy.reply().text().contains("slept for"));
    // It is offered once it is idle.
    while !busy.ask("/").says_close() {}
    for mut client in [idle, busy] {
        client.close_our_side();
        assert_eq!(client.ending(), testkit::Ending::Eof);
    }
    await_exit(old);
    assert!(ask(&mut rustls(&server, &files)).ends_with(" generation 2\n"));
    server.signal(Signal::SIGTERM);
    assert_ends_well(server);
}

#[test]
fn an_encrypted_connection_stays_where_it_was_if_the_next_version_does_not_encrypt() {
    let Some(files) = Files::make() else { return };
    let deployment = Deployment::of(BINARY);
    let mut command = Command::new(deployment.server());
    command.arg("--tls").arg(files.certificate_and_key());
    let mut server = start(command);
    let [mut idle, mut busy] = [(); 2].map(|()| rustls(&server, &files));
    ask(&mut idle);
    write!(busy, "GET {SLOW} HTTP/1.1\r\nHost: lab\r\n\r\n").expect("it is open");
    // `--tls FILE` comes first.
    deployment.put_script(&format!(r#"shift 2; exec '{BINARY}' "$@""#));
    let old = server.upgrade();
    let line = server.program.line("connections are left to the old process");
    assert!(line.contains("nothing is encrypted on"), "{line}");
    assert!(ask(&mut idle).ends_with(" generation 1\n"));
    assert!(answer(&mut busy).contains("slept for"));
    for mut client in [idle, busy] {
        assert_eq!(client.read(&mut [0]).expect("it is closed in order"), 0);
        client.conn.send_close_notify();
        client.flush().expect("our side is open");
    }
    await_exit(old);
    assert!(Wire::connect(server.address()).ask("/").text().ends_with(" generation 2\n"));
    server.signal(Signal::SIGTERM);
    assert_ends_well(server);
}
