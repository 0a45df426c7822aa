//! TLS 1.3: a connection that goes to the next process with its keys. (One of TLS 1.2 stays, and is closed politely.)
//!
//! The invariant: the client sees one connection; no record of it is lost, read twice, or sealed with a number that another
//! record has.
//!
//! rustls does the `handshake`, and is asked for the keys. From there on, the `machine` opens and seals the records; it is all of
//! TLS that a connection needs then: `keys` for each direction, a `suite`, the framing of `record`s, and an `alert` when it ends.
//! `ownership` says which process has it. `shell` puts all this between a socket and what speaks HTTP, with a `phase` for each
//! connection, and `layer` puts it into a [`Server`](connection_handover::Server).
//!
//! | a connection … | in an upgrade |
//! | --- | --- |
//! | whose handshake is over | goes over, when what it carries does |
//! | in its handshake | goes over after it |
//! | under TLS 1.2, which is rustls' to the end (`older`) | stays, and is told to leave, as in chapter 5 |
//! | that a side has closed, or whose client has said what it must not | ends where it is |
//! | whose listener encrypts nothing in the next version, or encrypts only there | stays, and is told to leave |
//! | offered to a successor that says nothing | is closed: both processes could seal |
//!
//! Where a service [asks for it](Tls::resuming), `tickets` are good in every generation, for one to two hours: a client that comes back
//! resumes its session, with fresh keys ((EC)DHE), and without early data. What they are sealed with begins with a secret that goes from
//! process to process, beside the connections; a version that knows nothing of it ends it. A client that resumes is not shown a
//! certificate, nor asked for one, and gets a new ticket. So a successor with another certificate shows it to new clients at once, and to
//! those that come back only after two hours without a connection. A restart, in place of an upgrade, ends all tickets at once. (Sessions
//! of TLS 1.2 do not resume: they would go on with their old keys.)
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
//! | what is wiped: secrets, and the message that carries them; a test searches the heap of a process whose connection has gone, and finds none, nor a key. What the kernel had of the message is not ours to wipe, nor what rustls and the library leave on stacks (once, ten copies of a handshake's secret): an old process should end soon, and leave no core dump | `keys`, `ownership` |
//! | what does not go over: the name that the client asked for, its certificate, and exporters | `handshake` |
//! | who has the secret of the tickets can pretend to be the server to clients that come back within two hours; it opens nothing that was recorded | `tickets` |

mod alert;
#[cfg(test)]
mod believer;
mod handshake;
mod keys;
mod layer;
mod machine;
mod older;
mod ownership;
#[cfg(test)]
mod peers;
mod pem;
mod phase;
mod record;
#[cfg(test)]
mod rules;
mod shell;
#[cfg(test)]
mod streams;
mod suite;
mod tickets;
#[cfg(test)]
mod vectors;
#[cfg(test)]
mod walks;

pub use ownership::{Arrival, Offer};
pub use shell::{Tls, TlsStream};
