//! HTTP/2: a gate that takes a live connection from one library and gives it to another, in another process.
//!
//! The invariant: the client sees one connection; no frame of it is lost, read twice, or answered twice.
//!
//! `machine` is the gate without a socket: a ledger (`streams`, `settings`, windows) and buffers of frames (`frame`).
//! `shell` puts it between a socket and a library. `state` is what goes to the next process, and `limits` says whether that
//! process can go on from there.

mod frame;
mod limits;
mod machine;
mod settings;
mod shell;
mod state;
mod streams;
#[cfg(test)]
mod walks;

use std::time::Duration;

use bytes::Bytes;
use connection_handover::{GatedListener, Http2Gate, Http2Placed, Transport};
use tokio::time::timeout;

use limits::Limits;
use machine::Machine;
use state::State;

/// How long a server may take to say what it allows: it has nothing else to do yet.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Gates for HTTP/2, for [`Server::hand_over_http2`](connection_handover::Server::hand_over_http2).
#[derive(Debug)]
pub struct Http2 {
    limits: Limits,
}

impl Http2 {
    /// For connections that [`connection_handover::http2_library`] serves.
    #[must_use]
    pub fn new() -> Http2 {
        Http2 { limits: Limits::of_the_library() }
    }

    /// For connections of a server that accepts from a [`GatedListener`]. `serve` is called once, with a listener of its own: it
    /// begins such a server, which is asked what it allows. Needs a tokio runtime with a clock.
    ///
    /// # Errors
    /// In a sentence, if it does not speak HTTP/2, or says nothing for five seconds.
    pub async fn of_server<F: Future>(serve: impl FnOnce(GatedListener) -> F) -> Result<Http2, String> {
        let limits = timeout(ANSWER_TIMEOUT, Limits::of(serve)).await;
        let limits = limits.map_err(|_| "the server that should accept from a listener says nothing")?;
        Ok(Http2 { limits: limits.ok_or("the server that should accept from a listener does not speak HTTP/2")? })
    }
}

impl Default for Http2 {
    fn default() -> Http2 {
        Http2::new()
    }
}

impl Http2Gate for Http2 {
    fn place(&self, client: Box<dyn Transport>, state: Option<Bytes>) -> Option<Http2Placed> {
        let machine = match state {
            Some(state) => Machine::adopt(State::read(state)?),
            None => Machine::fresh(),
        };
        let (gate, control) = shell::gate(client, machine);
        Some((Box::new(gate), Box::new(control)))
    }

    fn check(&self, state: &Bytes) -> Result<(), String> {
        let state = State::read(state.clone()).ok_or("another version knows more about HTTP/2")?;
        self.limits.check(&state)
    }
}
