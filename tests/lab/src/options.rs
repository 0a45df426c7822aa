//! What the program `lab` is asked to show.
//!
//! The invariant: without options it shows what a newcomer should see first.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use testkit::load::{Client, Plan};

/// Streams on each connection of the HTTP/2 client: enough to have requests under way whenever a connection ends.
const STREAMS: u32 = 8;

/// The longest pause of a client that thinks. Pauses that end while an idle connection is being closed are the ones
/// that lose requests, so there have to be many, and short ones.
const LONGEST_THOUGHT: Duration = Duration::from_millis(20);

/// The timetable of a paced client: a hundred requests a second on each connection, far from what the server can take.
const INTERVAL: Duration = Duration::from_millis(10);

/// Upgrades a server again and again while clients use it, and says what they noticed.
///
/// Without --client and --mode, three loads are shown side by side: keep-alive connections in full use, keep-alive
/// connections with pauses, and a connection per request.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
pub struct Options {
    /// Something else to show
    #[command(subcommand)]
    pub command: Option<Command>,

    /// How many times to upgrade the server under each load
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    pub upgrades: u32,

    /// How many connections to use at a time
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..))]
    pub connections: u32,

    /// Who asks
    #[arg(long)]
    pub client: Option<Who>,

    /// How
    #[arg(long)]
    pub mode: Option<Mode>,

    /// The server to upgrade, instead of `graceful-demo`: a program that takes --listen, logs a line `listening` with
    /// address=… and pid=…, answers with `x-generation`, and upgrades itself on SIGUSR2
    #[arg(long, value_name = "PATH")]
    pub server: Option<PathBuf>,

    /// Write the table there, as the book includes it
    #[arg(long, value_name = "FILE", conflicts_with_all = ["client", "mode", "server"])]
    pub book: Option<PathBuf>,
}

/// What else there is.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Restarts a server in three ways, and draws what became of each request
    Timelines {
        /// Where to put kill.svg, stop-start.svg, upgrade.svg, and values.md with their numbers
        directory: PathBuf,
    },
    /// Restarts servers in seven ways under the same load, in turns, and shows what each costs
    Compare(Compare),
    /// Measures what others use to restart a server, beside ours: grace, tableflip, ecdysis, nginx, HAProxy
    Peers(Peers),
    /// Rolls a new version over three instances behind HAProxy and behind nginx, and shows what each way to do so costs
    Fleet(Fleet),
}

/// How to compare.
#[derive(Debug, clap::Args)]
pub struct Compare {
    /// How many runs each way has
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub repeats: u32,

    /// The server to restart, in the ways that need no other, instead of ours: as without `compare`; it answers with `x-pid`
    #[arg(long, value_name = "PATH", conflicts_with = "book")]
    pub server: Option<PathBuf>,

    /// Only these ways, say `kill-start`
    #[arg(long, value_name = "NAME")]
    pub only: Vec<String>,

    /// Write every figure of every run there, as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// Write there what the book includes: tables, values, charts
    #[arg(long, value_name = "DIRECTORY", conflicts_with = "only")]
    pub book: Option<PathBuf>,
}

/// Which peers to measure, and how. What is not installed is named and left out.
#[derive(Debug, clap::Args)]
pub struct Peers {
    /// How many runs each has
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub repeats: u32,

    /// Only these, say `nginx-reload`
    #[arg(long, value_name = "NAME")]
    pub only: Vec<String>,

    /// Something else: open idle connections that speak HTTP/1, HTTP/2, websocket or TLS, restart once, and count those that
    /// are closed
    #[arg(long, conflicts_with = "repeats")]
    pub idle: bool,

    /// Write every figure of every run there, as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// Write there what the book includes: tables, values, charts
    #[arg(long, value_name = "DIRECTORY", conflicts_with = "only")]
    pub book: Option<PathBuf>,
}

/// How to roll, and behind what. A balancer that is not installed is named and left out.
#[derive(Debug, clap::Args)]
pub struct Fleet {
    /// How many rolls each way has behind each balancer
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub repeats: u32,

    /// Only these ways, say `in-place`
    #[arg(long, value_name = "NAME")]
    pub only: Vec<String>,

    /// Only these balancers, say `haproxy`
    #[arg(long, value_name = "NAME")]
    pub behind: Vec<String>,

    /// The server on each instance, instead of `graceful-demo`: a program that takes --listen, --idle-timeout and --control
    #[arg(long, value_name = "PATH", requires = "command", conflicts_with = "book")]
    pub server: Option<PathBuf>,

    /// What upgrades it, instead of `graceful`: a program that takes `--control PATH upgrade`, and whose exit status is 0 if the
    /// new version serves
    #[arg(long, value_name = "PATH", requires = "server")]
    pub command: Option<PathBuf>,

    /// Write every figure of every run there, as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// Write there what the book includes: tables and values
    #[arg(long, value_name = "DIRECTORY", conflicts_with_all = ["only", "behind"])]
    pub book: Option<PathBuf>,

    /// The programs to roll, given by the lab to itself where the machines are
    #[arg(long, hide = true, num_args = 2, value_names = ["SERVER", "COMMAND"])]
    pub inside: Vec<PathBuf>,
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Who {
    /// HTTP/1.1, never repeats a request and counts every closed connection
    Strict,
    /// HTTP/1.1 as applications speak it: reqwest, with its connection pool
    Pooled,
    /// HTTP/2, eight requests at a time on each connection, as strict as strict
    Http2,
}

/// How the connections are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// One request after the other on each connection
    KeepAlive,
    /// A pause of 0 to 20 ms before each request
    Think,
    /// A new connection for each request
    PerRequest,
    /// A request every 10 ms on each connection, by a timetable that a slow answer does not stretch
    Paced,
}

/// One column of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scenario {
    /// Who asks.
    pub who: Who,
    /// How.
    pub mode: Mode,
    /// Over how many connections at a time.
    pub connections: u32,
}

impl Options {
    /// What to show, from left to right.
    #[must_use]
    pub fn scenarios(&self) -> Vec<Scenario> {
        let scenario = |who, mode| Scenario { who, mode, connections: self.connections };
        if self.client.is_some() || self.mode.is_some() {
            return vec![scenario(self.client.unwrap_or(Who::Strict), self.mode.unwrap_or(Mode::KeepAlive))];
        }
        vec![
            scenario(Who::Strict, Mode::KeepAlive),
            scenario(Who::Strict, Mode::Think),
            scenario(Who::Pooled, Mode::PerRequest),
        ]
    }
}

impl Scenario {
    /// The load on the server at `address`.
    #[must_use]
    pub fn plan(&self, address: &str) -> Plan {
        let client = match self.who {
            Who::Strict => Client::Strict,
            Who::Pooled => Client::Pooled,
            Who::Http2 => Client::StrictHttp2 { streams: STREAMS },
        };
        let plan = Plan::new(address).client(client).connections(self.connections);
        match self.mode {
            Mode::KeepAlive => plan.back_to_back(),
            Mode::Think => plan.think(Duration::ZERO..LONGEST_THOUGHT),
            Mode::PerRequest => plan.per_request(),
            Mode::Paced => plan.every(INTERVAL),
        }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = match self.who {
            Who::Strict => "",
            Who::Pooled => "reqwest, ",
            Who::Http2 => "HTTP/2, ",
        };
        let mode = match self.mode {
            Mode::KeepAlive => "keep-alive",
            Mode::Think => "keep-alive with pauses",
            Mode::PerRequest => "a connection per request",
            Mode::Paced => "by timetable",
        };
        write!(f, "{who}{mode}")
    }
}
