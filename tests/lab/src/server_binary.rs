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

/// A program of this workspace, or an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Built {
    package: &'static str,
    target: Target,
    /// Those that it has not by default.
    features: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    Program(&'static str),
    Example(&'static str),
}

impl Built {
    /// The whole server: chapter 6's program.
    pub const WHOLE: Built = Built { package: "graceful", ..Built::program("graceful-demo") };

    /// The command that asks it for an upgrade, and waits for the outcome.
    pub const COMMAND: Built = Built::program("graceful");

    /// The server of Part I, which closes its connections politely: chapter 4's program.
    pub const POLITE: Built = Built::program("graceful-upgrade");

    /// The server whose connections go over, whatever they speak: chapter 7's program.
    pub const EVERY: Built = Built { features: "tls", ..Built::program("every-connection") };

    /// The same for websockets.
    pub const WEBSOCKETS: Built = Built::example("every-connection", "websockets");

    /// The program of a chapter that has the name of its package.
    #[must_use]
    pub const fn program(package: &'static str) -> Built {
        Built { package, target: Target::Program(package), features: "" }
    }

    /// An example of a package.
    #[must_use]
    pub const fn example(package: &'static str, example: &'static str) -> Built {
        Built { package, target: Target::Example(example), features: "" }
    }

    /// Builds it, in the same `target` as everything else, and returns where it is.
    ///
    /// # Errors
    /// What Cargo says.
    pub fn build(self) -> Result<PathBuf, BuildError> {
        let Built { package, target, features } = self;
        let workspace = concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml");
        let build = CargoBuild::new().manifest_path(workspace).package(package).features(features).release();
        let build = match target {
            Target::Program(name) => build.bin(name),
            Target::Example(name) => build.example(name),
        };
        build.run().map(|run| run.path().to_owned()).map_err(|error| BuildError { package, error })
    }
}
