//! Waiting for what can only be asked for: a balancer's verdict, an answer.
//!
//! The invariant: it has an end, and says what it waited for.

use std::thread::sleep;
use std::time::{Duration, Instant};

use testkit::{GaveUp, TIMEOUT};

const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// Asks until the answer is yes.
pub(super) fn until(what: &str, mut is_so: impl FnMut() -> bool) -> Result<(), GaveUp> {
    let deadline = Instant::now() + TIMEOUT;
    while !is_so() {
        if Instant::now() > deadline {
            return Err(GaveUp(format!("this did not happen within {TIMEOUT:?}: {what}")));
        }
        sleep(LOOK_AGAIN);
    }
    Ok(())
}
