//! A client in Go, for tests in plain and under TLS.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;
use testkit::{require, require_program};

const PACKAGES: &str = "/usr/share/gocode";

/// It, built into this directory. `None`: something that it is built with is missing.
pub(crate) fn client(directory: &TempDir) -> Option<Command> {
    let go = require_program("go", "golang-go")?;
    let there = Path::new(PACKAGES).join("src/golang.org/x/net/http2").exists();
    let missing = "this test needs Go's x/net: install it with `apt-get install golang-golang-x-net-dev`";
    if !require(there, missing) {
        return None;
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/go/client.go");
    let (cache, client) = (Path::new(env!("CARGO_TARGET_TMPDIR")).join("go-cache"), directory.path().join("client"));
    let mut command = Command::new(go);
    command.env("GO111MODULE", "off").env("GOPATH", PACKAGES).env("GOCACHE", cache);
    let built = command.args(["build", "-o"]).args([&client, &source]).output().expect("go was found");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    Some(Command::new(client))
}
