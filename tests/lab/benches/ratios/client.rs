//! A client with one connection, on which it asks one thing after the other.
//!
//! The invariant: a connection that ends, or says what it must not, ends the measurement with a panic; so whatever was counted was
//! answered, and on the connection that was opened first.

use testkit::Wire;

/// Whatever it speaks.
pub(crate) trait Client: Send {
    /// Asks, and returns what the service says, which ends with its generation.
    fn ask(&mut self) -> String;

    /// The same, so many times.
    fn ask_often(&mut self, times: u32) {
        for _ in 0..times {
            self.ask();
        }
    }

    fn assert_answered_by(&mut self, generation: u64) {
        let answer = self.ask();
        assert!(answer.ends_with(&format!("generation {generation}\n")), "generation {generation}? {answer}");
    }
}

impl Client for Wire {
    fn ask(&mut self) -> String {
        Wire::ask(self, "/").text()
    }
}
