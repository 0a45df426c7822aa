//! TLS 1.3: a connection that goes to the next process with its keys.
//!
//! The invariant: the client sees one connection; no record of it is lost, read twice, or sealed with a number that another
//! record has.
//!
//! rustls does the `handshake`, and is asked for the keys. From there on, the `machine` opens and seals the records; it is all of
//! TLS that a connection needs then: `keys` for each direction, a `suite`, the framing of `record`s, and an `alert` when it ends.
//! `ownership` says which process has it.
#![cfg_attr(not(test), expect(dead_code, reason = "what puts it between a socket and a library is not there yet"))]

mod alert;
mod handshake;
mod keys;
mod machine;
mod ownership;
#[cfg(test)]
mod peers;
mod record;
#[cfg(test)]
mod rules;
mod suite;
#[cfg(test)]
mod vectors;
#[cfg(test)]
mod walks;
