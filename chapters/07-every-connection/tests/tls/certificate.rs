//! A certificate that was made for one test.

use std::fs::{read_to_string, write};
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;
use testkit::require_program;

/// Of a certificate that is no authority's.
const CONFIG: &str = "
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

/// It, its key, and what else a test wants to write. All is gone with it.
pub(crate) struct Certificate(TempDir);

impl Certificate {
    /// `None`: there is no `openssl` here.
    pub(crate) fn make() -> Option<Certificate> {
        let openssl = require_program("openssl", "openssl")?;
        let made = Certificate(tempfile::tempdir().expect("there is room"));
        write(made.file("config"), CONFIG).expect("there is room");
        let mut request = Command::new(openssl);
        request.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]);
        request.arg("-config").arg(made.file("config"));
        request.arg("-keyout").arg(made.file("key")).arg("-out").arg(made.file("certificate"));
        let end = request.output().expect("it can be started");
        assert!(end.status.success(), "no certificate: {}", String::from_utf8_lossy(&end.stderr));
        let read = |name| read_to_string(made.file(name)).expect("it was just written");
        write(made.with_key(), read("certificate") + &read("key")).expect("there is room");
        Some(made)
    }

    /// One file with both.
    pub(crate) fn with_key(&self) -> PathBuf {
        self.file("both")
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}
