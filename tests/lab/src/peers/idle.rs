//! Idle connections across one upgrade.
//!
//! The invariant: each has had an answer and is open when the upgrade begins, and is asked nothing after it; so whatever ends
//! one, it is not its client.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::unistd::Pid;
use serde::Serialize;
use testkit::GaveUp;
use testkit::load::allow_descriptors;

use crate::restart::{CannotMeasure, Running as _};

use super::client::Client;
use super::peer::Peer;
use super::protocol::Protocol;

const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// What became of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Idle {
    /// How many there were.
    pub connections: usize,
    /// How many the server closed, or said that it will.
    pub closed: usize,
    /// Whether the process that answered before the upgrade was there at the end.
    pub old_stays: bool,
}

impl Idle {
    /// How long the server may take to close them: longer than the polite drain lets a silent client linger, and than the
    /// drain timeout of any server here.
    pub(super) const WATCHED: Duration = Duration::from_secs(6);
}

impl Peer {
    /// Opens connections to the server, restarts it, and counts those that it closes. `None` where it does not speak the
    /// protocol.
    ///
    /// # Errors
    /// If the server does not serve, or no new process answers.
    pub fn closes_idle(&self, protocol: Protocol) -> Result<Option<Idle>, CannotMeasure> {
        let Some(mut server) = self.serve_speakers_of(protocol)? else { return Ok(None) };
        let mut idle = Vec::new();
        for _ in 0..protocol.connections() {
            let client = Client::ask(protocol, server.clients_address());
            idle.push(client.map_err(|error| GaveUp(format!("an idle connection: {error}")))?);
        }
        let closed = |idle: &mut [Client]| idle.iter_mut().map(Client::is_closed).filter(|closed| *closed).count();
        let early = closed(&mut idle);
        if early > 0 {
            return Err(GaveUp(format!("{early} connections were closed before the upgrade")).into());
        }
        let old = server.answerer()?;
        server.restart()?;
        let deadline = Instant::now() + Idle::WATCHED;
        let mut upgraded = false;
        // To the end even if all seem to stay: a server may close them late.
        while Instant::now() < deadline && !(closed(&mut idle) == idle.len() && upgraded) {
            upgraded = upgraded || server.answerer().is_ok_and(|pid| pid != old);
            sleep(LOOK_AGAIN);
        }
        if !upgraded {
            return Err(GaveUp("no new process answered".to_owned()).into());
        }
        let closed = closed(&mut idle);
        server.check_relay()?;
        Ok(Some(Idle { connections: idle.len(), closed, old_stays: is_alive(old) }))
    }
}

/// One that has ended may wait for its parent to notice.
fn is_alive(pid: Pid) -> bool {
    fs::read_to_string(format!("/proc/{pid}/status")).is_ok_and(|status| !status.contains("\nState:\tZ"))
}

/// Makes room for all of them, and for the descriptors that the programs need which inherit the limit.
pub(super) fn allow_connections() {
    // A relay, and a proxy, have two for each connection.
    allow_descriptors(Protocol::ALL.into_iter().map(|protocol| 2 * protocol.connections()).max().unwrap_or_default());
}
