//! Chapter 4's server, built.
//!
//! The invariant: it is the one in this workspace, as it is now, in release.

use std::path::PathBuf;

use escargot::CargoBuild;
use escargot::error::CargoError;

/// The server could not be built.
#[derive(Debug, thiserror::Error)]
#[error("cannot build the server: {0}; see `cargo build --release -p graceful-upgrade`")]
pub struct BuildError(#[from] CargoError);

/// Builds it, in the same `target` as everything else, and returns where it is.
///
/// # Errors
/// What Cargo says.
pub fn server_binary() -> Result<PathBuf, BuildError> {
    let workspace = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    let build = CargoBuild::new().manifest_path(workspace).package("graceful-upgrade").bin("graceful-upgrade");
    Ok(build.release().run()?.path().to_owned())
}
