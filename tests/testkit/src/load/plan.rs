//! What load to put on which server.
//!
//! The invariant: a plan has an answer to every question before it starts; only the target has no default.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;

use super::pace::Pace;

/// How long a request may stay without its full answer before it counts as lost.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The kind of client, and so what it forgives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client {
    /// HTTP/1.1 on connections of its own. It sends every request once.
    ///
    /// It does not reuse a connection that it already saw closed, and no client should. If hyper reports that a
    /// connection closed before it took the request up (`try_send_request` gives the message back, so not one byte of
    /// it can have reached the server), that is a closed connection in the [`Tally`](super::Tally), and the request
    /// goes out on a new one. That is honest: the server cannot tell it from a client that looked a moment earlier. The
    /// first request on a connection has to be answered, or is lost.
    Strict,
    /// HTTP/2 with prior knowledge, by the same rules, with this many requests at a time on each connection.
    ///
    /// One rule more: the last GOAWAY of a server names the last stream that it will answer, and thereby gives back the
    /// later ones unread (RFC 9113, section 6.8). Those are counted in [`Tally::given_back`](super::Tally::given_back)
    /// and sent again on a new connection. hyper's two-step GOAWAY does not avoid them under heavy load when the client
    /// is built on h2, as this one is: h2 0.4 answers the PING by which the server finds out which stream is the last
    /// one *before* it writes the requests in its queue, so these come too late.
    StrictHttp2 {
        /// Requests at a time on one connection.
        streams: u32,
    },
    /// HTTP/1.1 as applications speak it: reqwest, with its pool.
    ///
    /// The pool replaces a connection that closed, and repeats a request that the closed connection did not take up,
    /// without a word: no closed connection is ever counted. A request that was written and got no answer is an error
    /// here, too; an HTTP/2 request that the server refused unread (GOAWAY, `REFUSED_STREAM`) would be repeated twice.
    Pooled,
}

/// What is asked, again and again.
#[derive(Debug, Clone)]
pub struct Request {
    pub(super) path: String,
    /// Sent with POST, and wanted back byte for byte.
    pub(super) echo: Option<Bytes>,
}

impl Request {
    /// `GET path`, say `/` or `/sleep/?duration=20ms`. Any complete answer with a status of 200 to 299 will do.
    pub fn get(path: impl Into<String>) -> Request {
        Request { path: path.into(), echo: None }
    }

    /// `POST /echo` with `length` bytes, which have to come back unchanged.
    #[must_use]
    pub fn echo(length: usize) -> Request {
        // 251 is prime: a chunk that is missing or doubled shifts the pattern, whatever power of two its size is.
        let body = (0..=250_u8).cycle().take(length).collect();
        Request { path: "/echo".to_owned(), echo: Some(body) }
    }
}

/// Where the server listens.
#[derive(Debug, Clone)]
pub(super) enum Target {
    Tcp(String),
    Unix(PathBuf),
}

impl Target {
    /// What a client calls the server (`Host`, `:authority`).
    pub(super) fn authority(&self) -> &str {
        match self {
            Target::Tcp(address) => address,
            Target::Unix(_) => "localhost",
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Tcp(address) => address.fmt(f),
            Target::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A load to come. By default: [`Client::Strict`], 32 keep-alive connections, `GET /`, back to back.
#[derive(Debug, Clone)]
pub struct Plan {
    pub(super) target: Target,
    pub(super) request: Request,
    pub(super) per_request: bool,
    pub(super) client: Client,
    pub(super) pace: Pace,
    pub(super) connections: u32,
    pub(super) timeout: Duration,
    pub(super) journal: bool,
}

impl Plan {
    /// A load on the server at `address`: `HOST:PORT` or `unix:PATH`, as in its line `listening`.
    #[must_use]
    pub fn new(address: &str) -> Plan {
        let target = match address.strip_prefix("unix:") {
            Some(path) => Target::Unix(path.into()),
            None => Target::Tcp(address.to_owned()),
        };
        Plan {
            target,
            request: Request::get("/"),
            per_request: false,
            client: Client::Strict,
            pace: Pace::BackToBack,
            connections: 32,
            timeout: TIMEOUT,
            journal: false,
        }
    }

    /// Who asks.
    #[must_use]
    pub fn client(self, client: Client) -> Plan {
        Plan { client, ..self }
    }

    /// What is asked.
    #[must_use]
    pub fn request(self, request: Request) -> Plan {
        Plan { request, ..self }
    }

    /// Over how many connections at a time.
    #[must_use]
    pub fn connections(self, connections: u32) -> Plan {
        Plan { connections, ..self }
    }

    /// A new connection for each request, instead of keeping them alive.
    #[must_use]
    pub fn per_request(self) -> Plan {
        Plan { per_request: true, ..self }
    }

    /// The next request as soon as the last one is answered: as much load as these connections can make.
    #[must_use]
    pub fn back_to_back(self) -> Plan {
        Plan { pace: Pace::BackToBack, ..self }
    }

    /// A pause of random length before each request, as people make. On keep-alive connections this is what meets the
    /// keep-alive race: requests that set out at the moment the server closes what looks idle.
    #[must_use]
    pub fn think(self, pause: Range<Duration>) -> Plan {
        Plan { pace: Pace::Think(pause), ..self }
    }

    /// One request per `interval` on each connection, by a timetable: see [the module](super) for what that does to
    /// latencies. Requests that were due but could not be sent before the load stops are not counted.
    #[must_use]
    pub fn every(self, interval: Duration) -> Plan {
        Plan { pace: Pace::Every(interval), ..self }
    }

    /// How long to wait for an answer before the request counts as lost, instead of ten seconds.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Plan {
        Plan { timeout, ..self }
    }

    /// Keeps account of every single request, in [`Tally::journal`](super::Tally::journal).
    #[must_use]
    pub fn journal(self) -> Plan {
        Plan { journal: true, ..self }
    }
}
