//! As many requests as h2load makes.
//!
//! The invariant: all of them are answered, or the measurement ends with a panic.

use std::process::{Command, Stdio};

use crate::compared::Compared;
use crate::measured::Measured;

/// What to ask for in one turn.
pub(crate) struct H2load {
    pub(crate) scheme: &'static str,
    /// Enough for half a second, of which the start is little.
    pub(crate) requests: u32,
    /// How many connections there are, and what else it is told.
    pub(crate) arguments: &'static [&'static str],
}

/// The throughput of two servers.
pub(crate) fn throughput(compared: &mut Compared, turn: &H2load) -> Measured {
    if Command::new("h2load").arg("--version").stdout(Stdio::null()).status().is_err() {
        let many = compared.many;
        return Measured::all([])
            .without([format!("throughput of {many}: install h2load with `apt-get install nghttp2-client`")]);
    }
    Measured::all(compared.throughput(|address| turn.per_second(address)))
}

impl H2load {
    fn per_second(&self, address: &str) -> f64 {
        let H2load { scheme, requests, arguments } = self;
        let mut command = Command::new("h2load");
        command.args(["-n", &requests.to_string()]).args(*arguments).arg(format!("{scheme}://{address}/"));
        let output = command.output().expect("it was there a moment ago");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.contains(&format!("{requests} succeeded, 0 failed")), "a request failed:\n{said}");
        let per_second = said.split_once(" req/s").and_then(|(before, _)| before.rsplit(' ').next()?.parse().ok());
        per_second.expect("it says how fast it was")
    }
}
