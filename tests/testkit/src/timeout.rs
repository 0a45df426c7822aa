//! Waiting has an end.
//!
//! The invariant: everything here that waits gives up after the same time and says what it waited for.

use std::fmt;
use std::time::Duration;

/// How long anything may take before it is given up. Only a failing test ever waits this long.
pub const TIMEOUT: Duration = Duration::from_secs(20);

/// What was waited for did not come.
///
/// A test has no use for it: it calls the method that panics. The `try_` methods are for programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GaveUp(pub String);

impl fmt::Display for GaveUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for GaveUp {}
