//! A client that comes back resumes its session, whichever process it meets; but only with a ticket of this server.

use std::process::Command;
use std::sync::Arc;

use rustls::{ClientConfig, HandshakeKind};
use testkit::require_program;

use crate::client::{ask_for, config, connect};
use crate::page::Page;
use crate::server::Server;

/// Asks the `generation` that serves for `path` on a new connection, which has to resume the session of the one before.
fn resumes(config: &Arc<ClientConfig>, address: &str, path: &str, generation: u64) {
    let mut client = connect(address, config);
    assert!(ask_for(&mut client, path).ends_with(&format!("generation {generation}\n")));
    let expected = if generation == 1 { HandshakeKind::Full } else { HandshakeKind::Resumed };
    assert_eq!(client.conn.handshake_kind(), Some(expected), "generation {generation}");
    client.conn.send_close_notify();
    client.conn.complete_io(&mut client.sock).expect("it is open");
}

#[test]
fn a_session_resumes_in_every_generation() {
    let Some(mut server) = Server::start() else { return };
    let config = config(&server.certificate());
    for generation in 1..=4 {
        resumes(&config, &server.address(), "/", generation);
        server.replace();
    }
    server.ends_well();
}

#[test]
fn a_session_resumes_under_chapter_6_too() {
    let Some(mut page) = Page::start() else { return };
    let config = config(&page.files.certificate());
    for generation in 1..=4 {
        resumes(&config, page.server.address(), "/generation", generation);
        page.upgrade();
    }
    page.ends_well();
}

/// What `openssl s_client` says of a connection with one request.
fn openssl(server: &Server, more: &[&str]) -> Option<String> {
    let openssl = require_program("openssl", "openssl")?;
    let mut command = Command::new("sh");
    let says = r#"printf 'GET / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n' | "$@""#;
    command.args(["-c", says, "sh"]).arg(openssl).args(["s_client", "-ign_eof", "-connect", &server.address()]);
    let said = command.arg("-CAfile").arg(server.certificate()).args(more).output().expect("it was just found");
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.contains("hello from"), "it was not answered:\n{said}");
    Some(said)
}

#[test]
fn openssl_resumes_through_three_upgrades_and_not_elsewhere() {
    let (Some(mut server), Some(other)) = (Server::start(), Server::start()) else { return };
    let session = server.file("session").display().to_string();
    let Some(first) = openssl(&server, &["-sess_out", &session]) else { return };
    assert!(first.contains("New, TLSv1.3"), "{first}");
    for _ in 0..3 {
        server.replace();
    }
    let resumed = openssl(&server, &["-sess_in", &session]).expect("it is here");
    assert!(resumed.contains("Reused, TLSv1.3"), "{resumed}");
    // The certificate is another one, too: the client would have to check it, and could.
    let foreign = openssl(&other, &["-sess_in", &session]).expect("it is here");
    assert!(foreign.contains("New, TLSv1.3"), "{foreign}");
    server.ends_well();
    other.ends_well();
}

/// Nor is there anything to resume it with.
#[test]
fn a_session_of_tls_1_2_does_not_resume() {
    let Some(server) = Server::start() else { return };
    let session = server.file("session");
    let Some(said) = openssl(&server, &["-tls1_2", "-sess_out", &session.display().to_string()]) else { return };
    assert!(said.contains("New, TLSv1.2") && !said.contains("TLS session ticket"), "{said}");
    assert!(!session.exists());
    server.ends_well();
}
