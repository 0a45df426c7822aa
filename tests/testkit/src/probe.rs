//! A fresh connection: connect, ask, read to the end.
//!
//! The invariant: an answer is a 200 that says who gave it; anything else is an error.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n";

/// How long an answer may take before it counts as missing.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Who answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answerer {
    /// `x-pid`.
    pub pid: u32,
    /// `x-generation`, where the server has it.
    pub generation: Option<u64>,
}

/// How a probe failed.
#[derive(Debug, thiserror::Error)]
pub enum Unanswered {
    /// No connection came about.
    #[error("no connection came about: {0}")]
    Refused(io::Error),
    /// The connection ended before the answer did, or the answer was none.
    #[error("no answer came: {0}")]
    Cut(io::Error),
}

/// Asks once, on a connection of its own.
///
/// # Errors
/// If there is no answer.
pub fn probe(address: SocketAddr) -> Result<Answerer, Unanswered> {
    let socket = TcpStream::connect(address).map_err(Unanswered::Refused)?;
    ask(socket).map_err(Unanswered::Cut)
}

fn ask(mut socket: TcpStream) -> io::Result<Answerer> {
    socket.set_read_timeout(Some(TIMEOUT))?;
    socket.write_all(REQUEST)?;
    let mut answer = String::with_capacity(512);
    socket.read_to_string(&mut answer)?;
    let pid = number(&answer, "x-pid").and_then(|pid| u32::try_from(pid).ok());
    match pid {
        Some(pid) if answer.starts_with("HTTP/1.1 200 ") => {
            Ok(Answerer { pid, generation: number(&answer, "x-generation") })
        }
        _ => Err(io::Error::other(format!("the answer is {answer:?}"))),
    }
}

/// Names of header fields have no case.
fn number(answer: &str, name: &str) -> Option<u64> {
    let fields = answer.lines().filter_map(|line| line.split_once(':'));
    fields.filter(|(field, _)| field.eq_ignore_ascii_case(name)).find_map(|(_, value)| value.trim().parse().ok())
}
