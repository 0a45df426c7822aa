//! Who may seal.
//!
//! The invariant: no two processes have a [`Machine`] of one connection. If both sealed a record, both would use the same number
//! under the same key, and with AES-GCM that gives away what all later records are authenticated with.
//!
//! | the next process … | the old one |
//! | --- | --- |
//! | says *taken*, and only then calls [`taken`](Arrival::taken) | drops the [`Offer`] |
//! | says that it declines, and drops the [`Arrival`] | calls [`declined`](Offer::declined), and goes on |
//! | says nothing, or is gone | drops the offer, and closes the socket: it cannot know |

use bytes::BytesMut;
use zeroize::Zeroizing;

use super::keys::{Keys, Secret};
use super::machine::Machine;
use super::record::MOST;
use super::suite::Suite;

/// The first bytes. Another version of this message says so here.
const VERSION: &[u8] = b"tls13/1";

// ANCHOR: offer
/// A TLS connection that was offered to another process. Until that has declined, nothing is sealed here; so it has no other way
/// back. Drop it, and close the socket, if the other process has taken the connection or says nothing.
pub struct Offer(Box<Machine>);

/// A TLS connection that another process has offered. Drop it to decline.
pub struct Arrival(Box<Machine>);
// ANCHOR_END: offer

impl Machine {
    /// Offers the connection, if it [can go](Machine::can_go).
    pub(super) fn offer(self: Box<Machine>) -> Result<Offer, Box<Machine>> {
        if self.can_go() { Ok(Offer(self)) } else { Err(self) }
    }
}

impl Offer {
    /// What the next process has to know, besides the socket. It holds keys, and is wiped when it is dropped.
    #[must_use]
    pub fn message(&self) -> Zeroizing<Vec<u8>> {
        let Machine { reads, writes, received, .. } = &*self.0;
        // Room for all of it: growing leaves copies behind.
        let size = VERSION.len() + 2 + 2 * (writes.suite.secret + 8) + received.len();
        let mut message = Zeroizing::new(Vec::with_capacity(size));
        message.extend_from_slice(VERSION);
        message.extend_from_slice(&writes.suite.number.to_be_bytes());
        for keys in [writes, reads] {
            message.extend_from_slice(&keys.secret);
            message.extend_from_slice(&keys.sequence.to_be_bytes());
        }
        message.extend_from_slice(received);
        message
    }

    /// Goes on here. Only if the next process has said that it does not.
    pub(super) fn declined(self) -> Box<Machine> {
        self.0
    }
}

impl Arrival {
    /// What an [`Offer`] says. `None` if this is no such message.
    #[must_use]
    pub fn read(message: &[u8]) -> Option<Arrival> {
        let (suite, mut message) = message.strip_prefix(VERSION)?.split_first_chunk()?;
        let suite = Suite::find(u16::from_be_bytes(*suite))?;
        let [writes, reads] = [keys(suite, &mut message)?, keys(suite, &mut message)?];
        let received = Some(message).filter(|received| received.len() <= MOST)?;
        Some(Arrival(Machine::new(reads, writes, received.into(), BytesMut::new())))
    }

    /// Goes on here. Only after the old process was told so.
    pub(super) fn taken(self) -> Box<Machine> {
        self.0
    }
}

fn keys(suite: &'static Suite, message: &mut &[u8]) -> Option<Keys> {
    let (secret, rest) = message.split_at_checked(suite.secret)?;
    let (sequence, rest) = rest.split_first_chunk()?;
    *message = rest;
    Keys::new(suite, Secret::new(secret.to_vec()), u64::from_be_bytes(*sequence)).ok()
}
