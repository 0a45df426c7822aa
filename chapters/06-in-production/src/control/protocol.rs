//! What travels over the control socket: one line of JSON in, and lines of JSON out until the answer is complete.
//!
//! The invariant: another version may add fields and kinds; what is not understood is refused in a sentence, and changes
//! nothing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The longest request. A longer line is refused unread.
pub const LONGEST: usize = 4096;

/// What can be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Replace the program, and say how that ended.
    Upgrade {
        /// When the answer is complete.
        #[serde(default)]
        until: Until,
        /// An upgrade that began in this generation or a later one will do. [`Reply::Moved`] said so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        since: Option<u64>,
    },
    /// Say how it goes.
    Status,
    /// Give the counters as a text for Prometheus.
    Metrics,
    /// Stop gracefully.
    Stop,
}

/// When an upgrade counts as done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "program", derive(clap::ValueEnum))]
#[serde(rename_all = "snake_case")]
pub enum Until {
    /// When the new process accepts.
    Ready,
    /// When it has passed its probation.
    #[default]
    Trusted,
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// A part is done, so long after the upgrade began.
    Passed {
        /// In words: `ready`, `accepting`.
        part: String,
        /// Milliseconds.
        after: u64,
    },
    /// It is done.
    Done(String),
    /// It came to nothing, for this reason.
    Failed(String),
    /// Another process serves now, of this generation. Ask again, on a new connection, with `since`.
    Moved(u64),
    /// The answer to `status`.
    Status(Status),
    /// The answer to `metrics`.
    Metrics(String),
}

/// How the service is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The generation in charge.
    pub generation: u64,
    /// Its process id.
    pub pid: u32,
    /// `serving`, `starting a successor`, and so on.
    pub state: String,
    /// When it began, in seconds since 1970.
    pub since: u64,
    /// What the program says of its version.
    pub version: String,
    /// The program that an upgrade would start.
    pub program: String,
    /// How many older generations drain.
    pub draining: u8,
    /// How many callers wait for the end of an upgrade.
    pub waiting: usize,
    /// Connections that are open in this process.
    pub connections: usize,
    /// Requests that this process has begun to answer.
    pub requests: usize,
    /// The counters of all generations so far, by name.
    #[serde(default)]
    pub totals: BTreeMap<String, u64>,
    /// Of each generation that is alive, by its number.
    #[serde(default)]
    pub generations: BTreeMap<u64, BTreeMap<String, u64>>,
}
