//! The lab: what every chapter's tests and measurements stand on.
//!
//! The invariant of this crate: whatever it starts, it ends. A [`Program`] owns the process it started and every
//! generation that process started in turn; none of them outlives it, and no other process is ever touched.
//!
//! | to … | use |
//! | --- | --- |
//! | start a program, wait for its lines, signal it, learn how it ended | [`Program`] |
//! | start a server that replaces itself, and follow it from process to process | [`Generations`] |
//! | replace a program, or break it, without harm to the real one | [`Deployment`] |
//! | speak HTTP to it byte by byte, and see how a connection ends | [`Wire`] |
//! | see what a process holds: descriptors, mask, environment, limits | [`Census`] |
//! | put it under load, and count what was lost | [`load::Plan`] |
//! | ask wrk, ab and h2load what they think of it | [`ThirdParty`] |
//! | restart a server in any way, and learn what it cost its clients | [`restart::measure`] |
//! | do the same with what others use | [`peers`] |
//! | skip a test, aloud, when a machine lacks something | [`require`] |
//!
//! The program `lab` composes them: it upgrades a server again and again under load ([`upgrade_run`]) and prints what
//! the clients noticed ([`report`]); and it draws a single restart, request by request ([`timeline`]), and
//! many ways to restart side by side ([`restart`]). The benchmark draws how costs grow ([`curve`]).

mod census;
pub mod curve;
mod deployment;
mod end;
mod generations;
mod knock;
pub mod load;
pub mod machine;
pub mod options;
mod patience;
pub mod peers;
mod program;
pub mod report;
mod requirement;
pub mod restart;
pub mod server_binary;
pub mod show;
mod third_party;
pub mod timeline;
pub mod upgrade_run;
mod wire;

pub use census::{Census, Descriptor};
pub use deployment::Deployment;
pub use end::{End, await_exit, try_await_exit};
pub use generations::Generations;
pub use knock::{Answerer, Unanswered, knock};
pub use patience::GaveUp;
pub use program::{Program, field};
pub use requirement::{require, require_program};
pub use third_party::{ThirdParty, Verdict};
pub use wire::{Ending, Reply, Wire};

/// The binary of an example that Cargo built beside `binary` (pass `env!("CARGO_BIN_EXE_…")`).
///
/// Wrong turns are examples; `cargo test` builds them with the tests that prove them wrong.
///
/// # Panics
/// If it is not there, with the command that builds it.
#[must_use]
pub fn example(binary: &str, name: &str) -> std::path::PathBuf {
    let path = std::path::Path::new(binary).with_file_name("examples").join(name);
    assert!(path.exists(), "{} is not built: run `cargo build --workspace --examples`", path.display());
    path
}
