//! Clients that speak TLS 1.2 alone: no request fails, and their connections end where they began.

use std::fmt::Write as _;
use std::process::Command;

use testkit::{Program, await_exit, require_program};

use crate::openssl::Client;
use crate::server::Server;

/// How many upgrades come between the requests.
const UPGRADES: usize = 5;

/// curl connects again when it is told to.
fn curl(version: &str, answers: &str) {
    let Some(curl) = require_program("curl", "curl") else { return };
    let Some(mut server) = Server::start() else { return };
    let (mut config, address) = (String::new(), server.address());
    for number in 0..100 {
        let path = if number % 10 == 0 { "stream?chunks=9&interval=3ms" } else { "sleep/?duration=20ms" };
        let said = "connects=%{num_connects} version=%{http_version} status=%{http_code}\\n";
        write!(config, "url = https://{address}/{path}\noutput = /dev/null\nwrite-out = \"{said}\"\n")
            .expect("a string");
    }
    std::fs::write(server.file("curl"), config).expect("there is room");
    let mut command = Command::new(curl);
    command.args(["--silent", "--show-error", "--fail", "--tls-max", "1.2", version, "--cacert"]);
    command.arg(server.certificate()).arg("--config").arg(server.file("curl"));
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
