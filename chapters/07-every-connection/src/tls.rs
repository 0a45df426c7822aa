//! TLS 1.3: a connection that goes to the next process with its keys.
//!
//! The invariant: the client sees one connection; no record of it is lost, read twice, or sealed with a number that another
//! record has.
//!
//! rustls does the `handshake`, and is asked for the keys. From there on, the `machine` opens and seals the records; it is all of
//! TLS that a connection needs then: `keys` for each direction, a `suite`, the framing of `record`s, and an `alert` when it ends.
//! `ownership` says which process has it. `shell` puts all this between a socket and what speaks HTTP, and
//! `layer` into a [`Server`](connection_handover::Server).
//!
//! This is experimental. A review from outside, which it has not had, would have to look at:
//!
//! | what | where |
//! | --- | --- |
//! | two processes never seal with the same key: a process that has offered a connection is told *declined*, or is done with it | `ownership`, and what calls it |
//! | no number is used twice: the library that seals does not check that (`LessSafeKey`) | `keys` |
//! | the secrets are those of the connection: they come by way of rustls' key log, and are compared by the IVs that come from them | `handshake` |
//! | a KeyUpdate fills its record; one that is split among records, which the RFC allows, is refused | `machine` |
//! | the limits: 2^24 records for a key of AES-GCM; 32 KeyUpdates in a row, which each process counts anew | `suite`, `machine` |
//! | what is wiped: secrets, and the message that carries them. What rustls and the kernel had of them is not ours to wipe, nor what is left on stacks: an old process should end soon, and leave no core dump | `keys`, `ownership` |
//! | what does not go over: the name that the client asked for, its certificate, exporters, and the tickets of rustls' own store: a client that comes back with one does a whole handshake | `handshake` |

mod alert;
mod handshake;
mod keys;
mod layer;
mod machine;
mod ownership;
#[cfg(test)]
mod peers;
mod pem;
mod record;
#[cfg(test)]
mod rules;
mod shell;
#[cfg(test)]
mod streams;
mod suite;
#[cfg(test)]
mod vectors;
#[cfg(test)]
mod walks;

pub use ownership::{Arrival, Offer};
pub use shell::{Tls, TlsStream};
