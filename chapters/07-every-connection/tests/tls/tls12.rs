//! Clients that speak TLS 1.2 alone: no request fails, and their connections end where they began.

use testkit::{Program, await_exit};

use crate::clients::asking_curl;
use crate::openssl::Client;
use crate::server::Server;

/// How many upgrades come between the requests.
const UPGRADES: usize = 5;

/// curl connects again when it is told to.
fn curl(version: &str, answers: &str) {
    let Some(mut server) = Server::start() else { return };
    let Some(mut command) = asking_curl(&server, &["--tls-max", "1.2", version], 100) else { return };
    let mut client = Program::start(&mut command);
    let mut upgrades = 0;
    while client.is_running() {
        await_exit(server.generations.upgrade());
        let line = server.generations.program.line("connections taken over");
        assert!(line.contains("taken=0"), "{line}");
        upgrades += 1;
    }
    let verdict = client.wait_all();
    assert!(upgrades >= UPGRADES, "only {upgrades} upgrades; it says:\n{verdict}");
    let answered = verdict.lines().filter(|line| line.ends_with(&format!("{answers} status=200"))).count();
    assert_eq!(answered, 100, "{verdict}");
    let connects = verdict.matches("connects=1").count();
    assert!((2..=upgrades + 1).contains(&connects), "{connects} connections, {upgrades} upgrades");
    server.ends_well();
}

#[test]
fn curl_with_http1_loses_no_request() {
    curl("--http1.1", "version=1.1");
}

#[test]
fn curl_with_http2_loses_no_request() {
    curl("--http2", "version=2");
}

#[test]
fn openssl_is_answered_and_told_to_leave() {
    let Some(mut server) = Server::start() else { return };
    let Some(mut client) = Client::start(&server, &["-tls1_2"]) else { return };
    client.program.line("TLSv1.2");
    client.ask(1);
    let old = server.generations.upgrade();
    // Until it was looked at, and found to stay.
    while !client.program.output().contains("connection: close") {
        client.ask(1);
    }
    await_exit(old);
    server.ends_well();
}
