//! The test kit: what every chapter's tests and measurements stand on.
//!
//! The invariant of this crate: whatever it starts, it ends. A [`Program`] owns the process it started and every
//! generation that process started in turn; none of them outlives it, and no other process is ever touched.
//!
//! | to … | use |
//! | --- | --- |
//! | start a program, wait for its lines, signal it, learn how it ended | [`Program`] |
//! | start a server that replaces itself, and follow it from process to process | [`Generations`] |
//! | replace a program, or break it, without harm to the real one | [`Deployment`] |
//! | hold a moment open: stop a process, hold a start or a request up | [`freeze`], [`Gate`], [`hold`] |
//! | give a program a log that is not read | [`StalledPipe`] |
//! | speak HTTP to it byte by byte, and see how a connection ends | [`Wire`] |
//! | learn which process answers a fresh connection, if any does | [`probe()`] |
//! | see what a process holds: descriptors, mask, environment, limits | [`Census`] |
//! | run it under a systemd of its own | [`Systemd`] |
//! | give it a disk that can be filled | [`small_disk()`], [`Lack`] |
//! | find an example that Cargo built | [`example`] |
//! | skip a test, aloud, when a machine lacks something | [`require`] |
#![cfg_attr(feature = "load", doc = "| put it under load, and count what was lost | [`load::Plan`] |")]
#![cfg_attr(feature = "load", doc = "| ask wrk, ab and h2load what they think of it | [`ThirdParty`] |")]
//!
//! What makes load needs HTTP libraries, which take longer to build than all the rest; it is there with the feature `load`.
//!
//! With the feature `replay`, a [`Program`] replays what its processes have logged of their lives through the model of the protocol
//! when it is dropped, and panics if the model does not allow it. `cargo test -- --nocapture` then says so of each.

mod census;
mod certificate;
mod connected;
mod deployment;
mod end;
mod generations;
#[cfg(feature = "load")]
pub mod load;
mod moment;
mod pid_namespace;
mod probe;
mod program;
mod requirement;
mod small_disk;
mod stalled_pipe;
mod systemd;
#[cfg(feature = "load")]
mod third_party;
mod timeout;
mod transitions;
mod wire;

pub use census::{Census, Descriptor, is_in_mask};
pub use certificate::{CERTIFICATE, CERTIFICATE_AND_KEY, make_certificate};
pub use connected::connected;
pub use deployment::Deployment;
pub use end::{End, await_exit, try_await_exit};
pub use generations::{Generations, assert_ends_well};
pub use moment::{
    Gate, Lease, await_refusal, children, descendants, freeze, hold, is_stopped, let_go, sleeps_in_its_runtime, thaw,
    wait_until,
};
pub use pid_namespace::pid_namespace;
pub use probe::{Answerer, Unanswered, probe};
pub use program::{Program, field};
pub use requirement::{require, require_program};
pub use small_disk::{Lack, small_disk};
pub use stalled_pipe::StalledPipe;
pub use systemd::Systemd;
#[cfg(feature = "load")]
pub use third_party::{ThirdParty, Verdict};
pub use timeout::{GaveUp, TIMEOUT};
pub use wire::{Ending, Reply, Wire};

/// The binary of an example that Cargo built beside `binary` (pass `env!("CARGO_BIN_EXE_…")`).
///
/// The steps of the chapters are examples; `cargo test` builds them with the tests that run them.
///
/// # Panics
/// If it is not there, with the command that builds it.
#[must_use]
pub fn example(binary: &str, name: &str) -> std::path::PathBuf {
    let path = std::path::Path::new(binary).with_file_name("examples").join(name);
    assert!(path.exists(), "{} is not built: run `cargo build --workspace --examples`", path.display());
    path
}
