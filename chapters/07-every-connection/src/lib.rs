//! Chapter 7: connections that speak more than HTTP/1 cross the upgrade, too.
//!
//! The invariant is chapter 5's: at any moment, only one process reads from a connection and writes to it; and only one process
//! acts on a byte that a client sent, and only once.
//!
//! Chapter 5 moves a connection when nothing is under way on it. HTTP/1 has such moments, and its server then knows nothing about
//! the connection that the next request depends on. In HTTP/2 both sides keep things in mind for as long as the connection lives:
//! settings, windows, the numbers of streams, a table of header fields in each direction. If the socket alone moves, the next
//! library knows none of it, and the first frame breaks the connection. So a gate keeps account:
//!
//! | what lives as long as the connection | what becomes of it |
//! | --- | --- |
//! | the client's table, for what it sends | there is none: the gate has told the client, in the very first process, to keep it empty |
//! | our table, for what we send | the new library is told of the size 0 and then of the client's; so its first block empties the table of the client |
//! | the client's settings | the new library is told all of them, as if it were told by the client |
//! | our settings | what the new library allows beyond what the client was told, the client is told; if it allows less, the connection does not go |
//! | both windows of the connection | two numbers for each, the client's and the library's; the gate makes up for the difference |
//! | windows of streams | no stream is open when the connection goes |
//! | what comes late about streams that are over | dropped, and its bytes are credited |
//!
//! | an HTTP/2 connection … | in an upgrade |
//! | --- | --- |
//! | without an open stream, used or not | goes over |
//! | with open streams, of which for a moment none is open within 250 ms | goes over then |
//! | whose streams end while new ones are held, for 250 ms at most | goes over, with what was held |
//! | with half a frame read | goes over, with that half |
//! | with a PING or SETTINGS that one side has not answered | goes over after the answer; our PINGs are not waited for |
//! | with a stream that does not end: gRPC streaming, server-sent events, an extended CONNECT, a push | is told to leave (GOAWAY), as in chapter 5 |
//! | that a side has said goodbye on, or whose client breaks the rules | ends where it is |
//! | whose successor is an older version, allows less, or has no descriptor left | stays, and is told to leave |
//!
//! A websocket's handler knows things, too, and no gate can guess them. So it takes part: told to leave between two messages, it
//! returns its state, and is called with that again, in the next process.
//!
//! | a websocket … | in an upgrade |
//! | --- | --- |
//! | between two messages, or with a part of a frame of up to 8 KiB read | goes over, with its handler's state |
//! | in the middle of a message or of a longer frame | goes over after its end; if that takes longer than 10 s, it is closed with 1012 |
//! | whose client has taken nothing of an answer for 10 s | is closed |
//! | with a ping that is not answered, or whose handler is at work, or waits for the client in the middle of something | goes over after the answer |
//! | whose client says goodbye in that moment | goes over, and is answered there, or ends where it is |
//! | on which the handler has read or written a goodbye, or that uses an extension | stays, and is served to its end |
//! | whose state is longer than 1 MiB, or whose successor does not know it by this name, or has no descriptor left | stays, and is served on; before the deadline, it is closed with 1012 |
//! | of a handler that offers no state | stays, as in chapter 5 |
//! | whose handler is a member of a [`Room`] | goes over as soon as it is not writing; it hears every message once, in the room's order |
//!
//! A room that some members have left, and others have not yet, is in two processes. So it is in neither: it is a log in memory that
//! all generations share, and a member takes its place in that along.
//!
//! | a room … | then |
//! | --- | --- |
//! | whose members are in two processes, of which each says something | all members hear all of it in the same order |
//! | of which one process is killed, at any moment | the members in the other one miss nothing; those that lost their connection come back with their position |
//! | whose upgrade is called off, or fails | goes on |
//! | with a member that lags by more than the room keeps (1 MiB) | tells it so ([`Lagged`]), and holds up no other |
//! | of which a process stands still (SIGSTOP, a debugger) | holds up its own members alone, unless it is just saying something |
//! | whose successor does not know it | stays with its members; the version after that begins a new one, and tells any that come back from the old one |
//! | whose successor knows another kind of it | is served on: the upgrade fails, and says why |
//! | whose last process crashes, under systemd | is there again after the restart (`FileDescriptorStoreMax=`) |
//!
//! A server that stops, without a successor, closes each websocket with 1001 when it could go over, and those that are left at the
//! deadline without a word.
//!
//! A [`Server`](connection_handover::Server) that is given [`Http2`] and [`Websockets`] does all this.
//!
//! With the feature `tls`, which is experimental, connections under TLS 1.3 go over, too: of HTTP/1, of HTTP/2, and websockets.

mod http2;
mod room;
#[cfg(feature = "tls")]
pub mod tls;
mod websocket;

pub use http2::Http2;
pub use room::{Lagged, Room};
pub use websocket::{Gate, Leave, Websockets};
