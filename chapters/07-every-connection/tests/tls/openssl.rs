//! `openssl s_client`, which changes its keys on demand: `k` changes its own, `K` asks the server to change its own, too.

use std::fs::File;
use std::io::Write as _;
use std::process::Command;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use testkit::{End, Program, require_program};

use crate::server::Server;

/// It, and what it is told.
pub(crate) struct Client {
    pub(crate) program: Program,
    tells: File,
}

impl Client {
    pub(crate) fn start(server: &Server, more: &[&str]) -> Option<Client> {
        require_program("openssl", "openssl")?;
        let tells = server.file("tells");
        mkfifo(&tells, Mode::S_IRWXU).expect("there is room");
        let mut command = Command::new("sh");
        command.args(["-c", r#"tells=$1; shift; exec openssl s_client -crlf "$@" < "$tells""#, "sh"]);
        command.arg(&tells).args(["-connect", &server.address(), "-CAfile"]).arg(server.certificate()).args(more);
        let program = Program::start(&mut command);
        Some(Client { program, tells: File::create(tells).expect("it is read") })
    }

    pub(crate) fn tell(&mut self, what: &str) {
        self.tells.write_all(what.as_bytes()).expect("it is read");
    }

    /// Asks, and waits for the answer of this generation.
    pub(crate) fn ask(&mut self, generation: usize) {
        self.tell("GET / HTTP/1.1\nHost: lab\n\n");
        self.program.line(&format!("x-generation: {generation}"));
        self.program.line("hello from");
    }
}

#[test]
fn openssl_has_one_connection_and_changes_keys() {
    for suite in ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"] {
        let Some(mut server) = Server::start() else { return };
        let Some(mut client) = Client::start(&server, &["-ciphersuites", suite]) else { return };
        client.program.line(suite);
        let mut generation = 1;
        for (before, after) in
            [("", ""), ("K\n", ""), ("k\n", ""), ("", "K\n"), ("", "k\n"), ("K\n", "K\n"), ("k\n", "K\n")]
        {
            client.ask(generation);
            if !before.is_empty() {
                client.tell(before);
                client.program.line("KEYUPDATE");
            }
            assert_eq!(server.replace(), 1);
            generation += 1;
            if !after.is_empty() {
                client.tell(after);
                client.program.line("KEYUPDATE");
            }
            client.ask(generation);
        }
        client.tell("Q\n");
        let end = client.program.wait();
        assert_eq!(end, End::Exited(0), "{}", client.program.wait_all());
        server.ends_well();
    }
}
