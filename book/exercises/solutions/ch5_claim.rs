//! A new process that takes connections over, so that none of them is served by two.

use std::io::{self, Write};

/// What the new process says when a connection is its own.
pub const OURS: &[u8] = b"y";

/// Takes over a connection that has come: tells the old process over `channel`, and serves it.
///
/// The old process serves every connection for which it has not heard [`OURS`] when the channel breaks.
///
/// # Errors
/// If the old process can no longer hear us: the connection is then still its own.
pub fn take(channel: &mut impl Write, serve: impl FnOnce()) -> io::Result<()> {
    // If we say it too early, a connection can be lost with us. If too late, a request may be served twice.
    channel.write_all(OURS)?;
    serve();
    Ok(())
}
