//! The article's way: a Go program of ours, built when it is needed.
//!
//! The invariant: it needs nothing but Go itself; where there is no Go, that is said, and nothing is measured.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/dispatch-go/main.go");

/// Builds it, or says why not.
pub(crate) fn build() -> Result<PathBuf, String> {
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("dispatch-go");
    let built = Command::new("go").args(["build", "-o"]).arg(&program).arg(SOURCE).status();
    match built {
        Ok(status) if status.success() => Ok(program),
        Ok(status) => Err(format!("dispatch, Go: `go build {SOURCE}` failed, {status}")),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Err("dispatch, Go: install it with `apt-get install golang-go`".to_owned())
        }
        Err(error) => Err(format!("dispatch, Go: cannot start `go`: {error}")),
    }
}
