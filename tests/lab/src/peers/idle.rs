//! Idle connections across one upgrade.
//!
//! The invariant: each has had an answer before the upgrade, and is asked nothing after it: so whatever ends one, it is not its
//! client.

use std::collections::BTreeSet;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde::Serialize;
use testkit::load::allow_descriptors;
use testkit::{GaveUp, probe};

use crate::restart::{CannotMeasure, Strategy};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: lab\r\n\r\n";

const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// What became of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Idle {
    /// How many there were.
    pub connections: usize,
    /// How many the server closed.
    pub closed: usize,
}

impl Idle {
    /// How long the server may take to close them: longer than the polite drain lets a silent client linger, and than the
    /// drain timeout of any server here.
    pub(super) const WATCHED: Duration = Duration::from_secs(6);
}

/// Opens this many connections to a server, restarts it by its strategy, and counts those that it closes.
///
/// # Errors
/// If the server does not serve, or no new process answers.
pub fn idle_across_an_upgrade(strategy: &dyn Strategy, connections: u32) -> Result<Idle, CannotMeasure> {
    allow_descriptors(connections);
    let mut running = strategy.start()?;
    let gave_up = |what: &str, why: &dyn std::fmt::Display| GaveUp(format!("{what}: {why}"));
    let address = running.address().parse().map_err(|error| gave_up("no address to connect to", &error))?;
    let mut idle = Vec::new();
    let mut old = BTreeSet::new();
    for _ in 0..connections {
        idle.push(asked_once(running.address()).map_err(|error| gave_up("an idle connection", &error))?);
    }
    old.extend(probe(address).map(|answerer| answerer.pid));
    running.restart()?;
    let deadline = Instant::now() + Idle::WATCHED;
    let mut upgraded = false;
    let mut closed = 0;
    // To the end even if all seem to stay: a server may close them late.
    while Instant::now() < deadline && closed < idle.len() {
        upgraded = upgraded || probe(address).is_ok_and(|answerer| !old.contains(&answerer.pid));
        closed = idle.iter_mut().filter_map(|connection| is_closed(connection).then_some(())).count();
        sleep(LOOK_AGAIN);
    }
    if !upgraded {
        upgraded = probe(address).is_ok_and(|answerer| !old.contains(&answerer.pid));
    }
    if !upgraded {
        return Err(GaveUp("no new process answered".to_owned()).into());
    }
    Ok(Idle { connections: idle.len(), closed })
}

fn asked_once(address: &str) -> io::Result<TcpStream> {
    let mut connection = TcpStream::connect(address)?;
    connection.set_read_timeout(Some(Idle::WATCHED))?;
    connection.write_all(REQUEST)?;
    let mut answer = Vec::new();
    let mut part = [0; 1024];
    // Their bodies end with a line of their own.
    while !(answer.ends_with(b"\n") && String::from_utf8_lossy(&answer).contains("hello from pid")) {
        let length = connection.read(&mut part)?;
        if length == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        answer.extend_from_slice(&part[..length]);
    }
    connection.set_nonblocking(true)?;
    Ok(connection)
}

fn is_closed(connection: &mut TcpStream) -> bool {
    let mut byte = [0];
    match connection.peek(&mut byte) {
        Ok(length) => length == 0,
        Err(error) => error.kind() != ErrorKind::WouldBlock,
    }
}
