//! The options that the servers of all chapters share.
//!
//! The invariant: the program can act on every option that was accepted; all else was refused with a sentence.

use std::time::Duration;

use clap::Args;
use jiff::SignedDuration;

/// The options of every server.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Where to listen: HOST:PORT (port 0 means any free one) or unix:PATH. May be given several times
    #[arg(long, value_name = "ADDR", env = "LISTEN", default_value = "127.0.0.1:48567")]
    pub listen: Vec<String>,

    /// How long a graceful shutdown may take before the rest is cut, e.g. 300ms, 1.5s or 2m
    #[arg(long, value_name = "DUR", env = "DRAIN_TIMEOUT", value_parser = parse_duration, default_value = "5s")]
    pub drain_timeout: Duration,
}

/// The option of every server that can be replaced.
#[derive(Debug, Clone, Args)]
pub struct ReadyTimeout {
    /// How long a new process may take to say that it is ready
    #[arg(long, value_name = "DUR", env = "READY_TIMEOUT", value_parser = parse_duration, default_value = "10s")]
    pub ready_timeout: Duration,
}

/// Reads a duration as Go and systemd users write it: `300ms`, `1.5s`, `1m30s`, `2m`.
///
/// # Errors
/// A sentence that says how to write it.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let duration = text.parse::<SignedDuration>().ok().and_then(|signed| Duration::try_from(signed).ok());
    duration.ok_or_else(|| "write a duration as 300ms, 1.5s or 2m".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_and_systemd_users_write_them() {
        for (text, millis) in [("300ms", 300), ("1.5s", 1500), ("2m", 120_000), ("1m30s", 90_000), ("0s", 0)] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in ["", "5", "-1s", "s", "1.5 bananas", "1e9s", "99999999999999999999h"] {
            assert!(parse_duration(text).is_err(), "{text:?}");
        }
    }
}
