//! Chapter 5: an upgrade in which not even a connection is closed.
//!
//! The invariant: at every moment, a connection is read from and written to by one process; and a byte that a client sent
//! is understood by one process, once.
//!
//! Chapters 2 and 4 bring a connection to the point at which it can go, and know who goes where; what is left for this
//! one is the way itself. Follow a connection: in the old process it is offered to `heir`, which sends it in a
//! `message` and waits for the answer; in the new one, `arrivals` takes it, says so, and has it served.
//!
//! Pass [`handover`] to [`graceful_upgrade::run_with`], and all of this happens.

mod arrivals;
mod channel;
mod heir;
mod message;

use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;

use graceful_shutdown::Heir;
use graceful_upgrade::{Adopter, Handover};

use channel::NewEnd;
use heir::Successor;

// ANCHOR: handover
/// Hands connections over as messages: the socket as a descriptor, and what was read ahead as bytes.
#[must_use]
pub fn handover() -> Box<dyn Handover> {
    Box::new(ByMessage)
}

struct ByMessage;

impl Handover for ByMessage {
    fn heir(&self, channel: OwnedFd) -> io::Result<Arc<dyn Heir>> {
        Ok(Successor::over(channel)?)
    }

    fn arrivals(
        &self,
        channel: OwnedFd,
        adopter: Adopter,
    ) -> io::Result<Pin<Box<dyn Future<Output = ()> + Send + 'static>>> {
        Ok(Box::pin(arrivals::adopt_all(NewEnd::new(channel)?, adopter)))
    }
}
// ANCHOR_END: handover
