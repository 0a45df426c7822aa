//! TLS for clients, by programs that a machine has: so the lab needs no library for cryptography.
//!
//! The invariant: what goes through a [`Relay`] is TLS 1.3 with the certificate that was made for this server, or nothing.

use std::path::Path;
use std::process::Command;

use testkit::{CERTIFICATE, GaveUp, Program, field, make_certificate};

use crate::restart::CannotMeasure;

use super::build::require;

const RELAY: &str = include_str!("../../peers/tls/relay.py");

/// Makes a certificate and its key in the directory of a server.
pub(super) fn certify(directory: &Path) -> Result<(), CannotMeasure> {
    let openssl = require("openssl", "openssl")?;
    make_certificate(&openssl, directory).map_err(|error| GaveUp(format!("no certificate: {error}")).into())
}

/// A port where clients that know nothing of TLS reach a server that speaks nothing else. Each has a connection of its own to
/// the server, and loses its own when the server ends that.
#[derive(Debug)]
pub(super) struct Relay {
    pub(super) program: Program,
    pub(super) address: String,
}

impl Relay {
    /// To a server at this address, whose files are in this directory.
    pub(super) fn start(server: &str, directory: &Path) -> Result<Relay, CannotMeasure> {
        let python = require("python3", "python3")?;
        let mut command = Command::new(&python);
        command.args(["-c", RELAY, server]).arg(directory.join(CERTIFICATE));
        let mut program = Program::try_start(&mut command).map_err(|error| CannotMeasure::Start(python, error))?;
        let line = program.try_line("relaying")?;
        let address = field(&line, "address").ok_or_else(|| GaveUp(format!("no address in {line:?}")))?.to_owned();
        Ok(Relay { program, address })
    }
}
