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
    let count: u16 = count.parse().map_err(|_| format!("LISTEN_FDS={count} is not a number of descriptors"))?;
    let count = usize::from(count);
    let names = match names {
        None => vec!["unknown"; count],
        // `split` would turn the empty string into one empty name.
        Some("") if count == 0 => Vec::new(),
        Some(names) => names.split(':').map(|name| if name.is_empty() { "unknown" } else { name }).collect(),
    };
    if names.len() != count {
        return Err(format!("LISTEN_FDNAMES has {} names for {count} descriptors", names.len()));
    }
    Ok(names.into_iter().map(str::to_owned).zip(FIRST..).collect())
}
