//! Servers of this workspace, built.
//!
//! The invariant: they are the ones in this workspace, as they are now, in release.

use std::path::PathBuf;

use escargot::CargoBuild;
use escargot::error::CargoError;

/// The server could not be built.
#[derive(Debug, thiserror::Error)]
#[error("cannot build the server: {error}; see `cargo build --release -p {package}`")]
pub struct BuildError {
    package: &'static str,
    error: CargoError,
}

/// A program of a chapter, or one of its examples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Built {
    package: &'static str,
    example: Option<&'static str>,
}

impl Built {
    /// The program of a chapter, which has the name of its package.
    #[must_use]
    pub const fn program(package: &'static str) -> Built {
        Built { package, example: None }
    }

    /// An example of a chapter.
    #[must_use]
    pub const fn example(package: &'static str, example: &'static str) -> Built {
        Built { package, example: Some(example) }
    }

    /// Builds it, in the same `target` as everything else, and returns where it is.
    ///
    /// # Errors
    /// What Cargo says.
    pub fn build(self) -> Result<PathBuf, BuildError> {
        let Built { package, example } = self;
        let workspace = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
        let build = CargoBuild::new().manifest_path(workspace).package(package).release();
        let build = if let Some(example) = example { build.example(example) } else { build.bin(package) };
        build.run().map(|run| run.path().to_owned()).map_err(|error| BuildError { package, error })
    }
}

/// Builds chapter 4's server.
///
/// # Errors
/// What Cargo says.
pub fn server_binary() -> Result<PathBuf, BuildError> {
    Built::program("graceful-upgrade").build()
}
