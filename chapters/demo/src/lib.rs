//! What the programs of all chapters have in common, so that a chapter's `main.rs` shows its chapter and nothing else: the
//! command line, the log, and the service that the book sends its requests to.
//!
//! The invariant: programs, examples and tests use this crate, and no library does. So a service that depends on a chapter's
//! library gets neither clap nor a log format with it.

mod command_line;
#[cfg(feature = "server")]
mod log;
#[cfg(feature = "server")]
mod options;
#[cfg(feature = "server")]
mod service;
mod stderr;

pub use command_line::run;
#[cfg(feature = "server")]
pub use log::log_to_stderr;
#[cfg(feature = "server")]
pub use options::{Options, ReadyTimeout, parse_duration};
#[cfg(feature = "server")]
pub use service::{Body, names, service};
