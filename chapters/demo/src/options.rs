//! The options that the servers of all chapters share.
//!
//! The invariant: the program can act on every option that it accepts; everything else is refused with a sentence.

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

    /// How long a client may keep a connection without a request. Set it longer than that of a balancer in front
    #[arg(long, value_name = "DUR", env = "IDLE_TIMEOUT", value_parser = parse_duration, default_value = "75s")]
    pub idle_timeout: Duration,

    /// How long a client may take to send the head of a request
    #[arg(long, value_name = "DUR", env = "HEAD_TIMEOUT", value_parser = parse_duration, default_value = "30s")]
    pub head_timeout: Duration,
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
    // Go reads zero without a unit, a fraction without a digit before it, and the Greek letter for micro; jiff does not.
    let mut plain = String::new();
    for letter in text.chars() {
        if letter == '.' && !plain.ends_with(|before: char| before.is_ascii_digit()) {
            plain.push('0');
        }
        plain.push(if letter == '\u{3bc}' { '\u{b5}' } else { letter });
    }
    if plain == "0" {
        plain.push('s');
    }
    let duration = plain.parse::<SignedDuration>().ok().and_then(|signed| Duration::try_from(signed).ok());
    duration.ok_or_else(|| "write a duration as 300ms, 1.5s or 2m".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_and_systemd_users_write_them() {
        #[rustfmt::skip]
        let accepted = [
            ("300ms", "300ms"), ("1.5s", "1500ms"), ("2m", "120s"), ("1m30s", "90s"), ("1h", "3600s"), ("0s", "0s"),
            ("250us", "250us"), ("250\u{b5}s", "250us"), ("80ns", "80ns"),
            // Go: zero without a unit, a fraction without a zero, the Greek letter for micro.
            ("0", "0s"), (".5s", "500ms"), ("1m.5s", "60500ms"), ("250\u{3bc}s", "250us"), ("+2s", "2s"),
            // systemd: words and spaces.
            ("5sec", "5s"), ("5min", "300s"), ("5 minutes", "300s"), ("1h 30m", "5400s"), ("2hr", "7200s"),
            // And what ISO 8601 and some people write: none of it can mean anything else.
            ("1,5s", "1500ms"), ("00:00:05", "5s"), ("PT5S", "5s"),
        ];
        for (text, plain) in accepted {
            assert!(parse_duration(plain).is_ok(), "{plain:?}");
            assert_eq!(parse_duration(text), parse_duration(plain), "{text:?}");
        }
        assert_eq!(parse_duration("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_duration("250us"), Ok(Duration::from_micros(250)));
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        let refused = [
            "",
            " ",
            "5",
            "00",
            "1.5",
            ".",
            ".s",
            "s",
            "-1s",
            "soon",
            "1.5 bananas",
            "1e9s",
            "1s2",
            "1..5s",
            "5s-1s",
            "99999999999999999999h",
            "1d",
            "1w",
            "1month",
            "infinity",
        ];
        for text in refused {
            assert!(parse_duration(text).is_err(), "{text:?} was read as {:?}", parse_duration(text));
        }
    }
}
