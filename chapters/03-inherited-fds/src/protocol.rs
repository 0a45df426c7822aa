//! The words that the two sides of an `exec` agree on, as `sd_listen_fds(3)` sets them down.
//!
//! The invariant: nothing else in this crate spells a variable, a number or a name of the protocol.

use std::os::fd::RawFd;

/// Number of the first descriptor that is handed over: 0 to 2 are the standard streams (`SD_LISTEN_FDS_START`).
pub(crate) const FIRST: RawFd = 3;

/// How many descriptors there are, counted from [`FIRST`].
pub(crate) const COUNT: &str = "LISTEN_FDS";

/// Whom they are for: without it, a grandchild that got the variables by accident would take them for its own.
pub(crate) const PID: &str = "LISTEN_PID";

/// A name for each, separated by colons.
pub(crate) const NAMES: &str = "LISTEN_FDNAMES";

/// All variables of the protocol. One that is missing here would leak into every later child.
///
/// Newer versions of systemd set the last one as well; it tells two processes apart that had the same pid.
pub(crate) const VARIABLES: [&str; 4] = [COUNT, PID, NAMES, "LISTEN_PIDFDID"];

/// What a descriptor is called that was given no name.
pub(crate) const UNKNOWN: &str = "unknown";

/// Whether `name` can stand in [`NAMES`]: printable ASCII, no colon, at most 255 bytes (`FileDescriptorName=` in
/// systemd.socket(5)).
pub(crate) fn is_name(name: &str) -> bool {
    let fits = |byte: u8| matches!(byte, b' '..=b'~') && byte != b':';
    (1..=255).contains(&name.len()) && name.bytes().all(fits)
}
