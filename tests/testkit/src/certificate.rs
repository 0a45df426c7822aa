//! A certificate that is no authority's, for a server on loopback.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

/// What `openssl` is told about it.
const REQUEST: &str = "
    [req]
    distinguished_name = name
    x509_extensions = extensions
    prompt = no
    [name]
    CN = localhost
    [extensions]
    basicConstraints = critical, CA:FALSE
    subjectAltName = DNS:localhost, IP:127.0.0.1
";

/// The file that a client trusts.
pub const CERTIFICATE: &str = "certificate";

/// The file that a server needs.
pub const CERTIFICATE_AND_KEY: &str = "certificate-and-key";

/// Makes both in this directory, for two days.
///
/// # Errors
/// If there is no room, or what this `openssl` says.
pub fn make_certificate(openssl: &Path, directory: &Path) -> io::Result<()> {
    fs::write(directory.join("request"), REQUEST)?;
    let mut command = Command::new(openssl);
    command.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]);
    command.args(["-config", "request", "-keyout", "key", "-out", CERTIFICATE]);
    let output = command.current_dir(directory).output()?;
    if !output.status.success() {
        return Err(io::Error::other(String::from_utf8_lossy(&output.stderr)));
    }
    let both = [fs::read(directory.join(CERTIFICATE))?, fs::read(directory.join("key"))?].concat();
    fs::write(directory.join(CERTIFICATE_AND_KEY), both)
}
