//! The transitions that a server logs, taken through the model of the protocol.
//!
//! The invariant: with the feature `replay`, each log that has any and lacks none is replayed; and no test sees them, unless it
//! has set `RUST_LOG` itself.

use std::env;
use std::process::Command;

/// Where a server logs them.
const RUNNER: &str = ",graceful_upgrade::runner=debug";

/// Has a server log its transitions. Returns whether they are put aside.
pub(crate) fn ask(command: &mut Command) -> bool {
    let set = command.get_envs().find(|(name, _)| *name == "RUST_LOG").map(|(_, value)| value);
    let level = match set {
        _ if !cfg!(feature = "replay") => return false,
        // By us, if the same command was started before. Otherwise, the test may wait for them, or shows what a reader sees.
        Some(Some(value)) => return value.as_encoded_bytes().ends_with(RUNNER.as_bytes()),
        Some(None) => None,
        None => env::var("RUST_LOG").ok(),
    };
    command.env("RUST_LOG", format!("{}{RUNNER}", level.as_deref().unwrap_or("info")));
    true
}

/// Whether a line of a log is one.
pub(crate) fn is_one(line: &str) -> bool {
    line.contains(" graceful_upgrade::runner: process=")
}

/// Replays the transitions of a log, and says how many there are. There are none if the program is not ours, logs elsewhere, or
/// logs less because its test has set `RUST_LOG`.
///
/// # Panics
/// If the model does not allow one.
#[cfg(feature = "replay")]
pub(crate) fn check(transitions: &[String], log: &[String]) {
    if transitions.is_empty() || log.iter().any(|line| line.contains("log: lines lost")) {
        return;
    }
    match protocol::replay::replay(transitions.iter().map(String::as_str)) {
        Ok(()) => eprintln!("the model allows the {} transitions of this server", transitions.len()),
        Err(refused) => panic!("{refused}the transitions:\n{}\nthe log:\n{}", transitions.join("\n"), log.join("\n")),
    }
}

#[cfg(not(feature = "replay"))]
pub(crate) fn check(_transitions: &[String], _log: &[String]) {}
