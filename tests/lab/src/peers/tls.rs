//! TLS for clients, by programs that a machine has: so the lab needs no library for cryptography.
//!
//! The invariant: what goes through a [`Relay`] is TLS 1.3 with the certificate that was made for this server, or nothing.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

use testkit::{GaveUp, Program, field};

use crate::restart::CannotMeasure;

use super::build::require;

/// Of a certificate that is no authority's.
const REQUEST: &str = "
    [req]
    distinguished_name = name
    x509_extensions = extensions
    prompt = no
    [name]
    CN = localhost
    [extensions]
    basicConstraints = critical, CA:FALSE
    subjectAltName = IP:127.0.0.1
";

const RELAY: &str = include_str!("../../peers/tls/relay.py");

/// Names in the directory of a server.
const CERTIFICATE: &str = "certificate";
/// One file, for a server.
pub(super) const WITH_KEY: &str = "certificate-and-key";

/// Makes a certificate and its key in this directory.
pub(super) fn make_certificate(directory: &Path) -> Result<(), CannotMeasure> {
    let openssl = require("openssl", "openssl")?;
    let failed = |error: io::Error| GaveUp(format!("no certificate: {error}"));
    fs::write(directory.join("request"), REQUEST).map_err(failed)?;
    let mut command = Command::new(openssl);
    command.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]);
    command.args(["-config", "request", "-keyout", "key", "-out", CERTIFICATE]);
    let output = command.current_dir(directory).output().map_err(failed)?;
    if !output.status.success() {
        return Err(failed(io::Error::other(String::from_utf8_lossy(&output.stderr))).into());
    }
    let read = |name| fs::read(directory.join(name)).map_err(failed);
    fs::write(directory.join(WITH_KEY), [read(CERTIFICATE)?, read("key")?].concat()).map_err(failed)?;
    Ok(())
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
