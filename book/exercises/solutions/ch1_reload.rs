//! A worker reads its configuration anew on SIGHUP, and ends on any other signal it is notified of.

use signal_channel::{Receiver, Signal};

/// Calls `reload` for every SIGHUP. Returns the first other signal.
pub fn work(signals: &mut Receiver, mut reload: impl FnMut()) -> Option<Signal> {
    loop {
        match signals.blocking_recv()? {
            Signal::SIGHUP => reload(),
            other => return Some(other),
        }
    }
}
