//! How long an old process that owes nothing stays.
//!
//! The invariant: for all but an instant, no client is connected to it; so what is measured is its own way out.

use crate::fresh::{Fresh, LIGHT};
use crate::measured::Measured;
use crate::row::Row;
use crate::servers::Binaries;

/// How often a server is started, and how often each of them is upgraded.
const STARTS: usize = 5;
const UPGRADES: usize = 10;

pub(crate) fn measure(binaries: &Binaries) -> Measured {
    let (mut after_ready, mut after_signal) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        let mut server = binaries.ours();
        let fresh = Fresh::start(&server.address, 1, LIGHT);
        for _ in 0..UPGRADES {
            let upgrade = server.upgrade(&fresh);
            after_ready.push(upgrade.old_gone - upgrade.ready);
            after_signal.push(upgrade.old_gone - upgrade.asked);
        }
    }
    Measured::all([
        Row::millis("old_gone", "gone after its line `draining`", after_ready).at_most(20.0),
        Row::millis("old_gone_after_signal", "  gone after SIGUSR2", after_signal),
    ])
}
