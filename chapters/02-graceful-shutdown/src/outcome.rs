//! How a drain ended, for a person and for a shell.
//!
//! The invariant: exit status 0 means that the server cut no request that it knew of.

/// What a drain came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// Requests that came to their own end after the drain had begun: answered, or given up by their client.
    pub finished: usize,
    /// Requests that were under way when the drain ended. An idle connection is not a request.
    pub cut: usize,
}

impl Outcome {
    /// The exit status that the contract of our programs sets: 0 if nothing was cut, 3 if something was.
    #[must_use]
    pub fn code(self) -> u8 {
        if self.cut == 0 { 0 } else { 3 }
    }

    /// Logs the outcome.
    pub fn report(self) {
        let Outcome { finished, cut } = self;
        if cut == 0 {
            tracing::info!(finished, "drained");
        } else {
            let requests = if cut == 1 { "1 request was" } else { &format!("{cut} requests were") };
            tracing::error!(finished, cut, "{requests} cut: the drain ended first");
        }
    }
}
