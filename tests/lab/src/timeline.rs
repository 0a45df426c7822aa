//! Three ways to restart a server, each drawn as a timeline: a lane for each process, a bar for each request.
//!
//! The invariant: a picture is one real run. Every request of that run is a bar of it, in exactly one lane, and the numbers
//! in its words are the numbers of its bars.
//!
//! Follow a run: [`record`] restarts the server under load and gets a [`Recording`], which [`draw`] draws; [`write()`] does
//! so for every [`Way`].

mod draw;
mod record;
mod recording;
mod way;
mod write;

pub use draw::draw;
pub use record::{CannotRecord, record};
pub use recording::{Bar, By, Recording, Span};
pub use way::Way;
pub use write::write;
