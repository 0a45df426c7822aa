//! A worker reads its configuration anew on SIGHUP, and ends on any other signal it is notified of.

use signal_channel::{Receiver, Signal};

/// Calls `reload` for every SIGHUP. Returns the first other signal.
pub fn work(signals: &mut Receiver, mut reload: impl FnMut()) -> Option<Signal> {
    let signal = signals.blocking_recv()?;
    if signal == Signal::SIGHUP {
        reload();
    }
    Some(signal)
}
