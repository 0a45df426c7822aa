//! Room for many connections, both ends of which are on this machine.
//!
//! The invariant: the limit is only ever raised, and servers that are started after that inherit it; so a number of
//! connections that is allowed here fits into each of the two processes.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Descriptors for all else that a process does.
const OTHERS: u32 = 256;

/// Raises the soft limit for this many connections. Returns how many fit: fewer, if the hard limit is too low.
pub(crate) fn allow_connections(wanted: u32) -> u32 {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a process may read its own limits");
    let needed = u64::from(wanted + OTHERS).min(hard);
    setrlimit(Resource::RLIMIT_NOFILE, soft.max(needed), hard).expect("a soft limit may be raised to the hard one");
    u32::try_from(needed).map_or(wanted, |needed| needed.saturating_sub(OTHERS))
}
