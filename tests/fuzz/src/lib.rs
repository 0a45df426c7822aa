//! Hostile bytes: everything of ours that reads what another process sends, or what the environment says.
//!
//! The invariant: whatever comes is understood or refused, and what is refused leaves nothing behind. A target panics if that is
//! not so. Targets reach what is private by compiling its file once more, so no chapter exports anything for their sake.

// The unit tests of those files run where they are at home.
#![cfg(not(test))]

mod descriptors;
mod targets;

pub use targets::{TARGETS, Target};

// Chapter 5's, which name each other from the root of their crate.
#[allow(dead_code, unreachable_pub)]
#[path = "../../../chapters/05-connection-handover/src/channel.rs"]
mod channel;
#[allow(dead_code, unreachable_pub)]
#[path = "../../../chapters/05-connection-handover/src/http2.rs"]
mod http2;
#[allow(dead_code, unreachable_pub)]
#[path = "../../../chapters/05-connection-handover/src/message.rs"]
mod message;
#[allow(dead_code, unreachable_pub)]
#[path = "../../../chapters/05-connection-handover/src/socket.rs"]
mod socket;
#[allow(dead_code, unreachable_pub)]
#[path = "../../../chapters/05-connection-handover/src/tls.rs"]
mod tls;
#[allow(dead_code, unreachable_pub)]
#[path = "../../../chapters/05-connection-handover/src/transfer.rs"]
mod transfer;
