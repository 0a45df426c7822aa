//! What a `main` does with a server that listens: wait for a signal, drain, and say how it ended.
//!
//! The invariant: the exit status is the contract of our programs, whichever way the server ends.

use std::process::ExitCode;
use std::time::Duration;

use signal_channel::{Receiver, exit};

use crate::server::Server;

impl Server {
    /// Serves until a signal comes, then drains until `drain_timeout` has passed, or a second signal comes.
    ///
    /// Returns 0 if nothing was cut and 3 if the deadline cut something. Dies by the second signal: to a shell, that is
    /// status 128 + n.
    pub async fn run(&self, mut signals: Receiver, drain_timeout: Duration) -> ExitCode {
        let signal = signals.recv().await;
        // Before the line is logged: its readers can rely on it.
        self.stop();
        if let Some(signal) = signal {
            tracing::info!(%signal, timeout = ?drain_timeout, "draining");
        }
        tokio::select! {
            outcome = self.shutdown(drain_timeout) => {
                outcome.report();
                outcome.code().into()
            }
            Some(second) = signals.recv() => {
                self.cut().await.report();
                exit::die_by(second)
            }
        }
    }
}
