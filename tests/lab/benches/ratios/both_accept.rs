//! How long both processes accept, and how long neither does.
//!
//! The invariant: every fresh connection is timed, from its connect(2) to the end of its answer, and the answer says who
//! gave it; so what is claimed about both processes is what clients saw.

use std::time::Duration;

use crate::fresh::{Fresh, LIGHT};
use crate::measured::Measured;
use crate::row::Row;
use crate::servers::{Binaries, Server, Upgrade};

/// How often a server is started, and how often each of them is upgraded.
const STARTS: usize = 10;
const UPGRADES: usize = 10;

/// Clients that ask back to back: with only one, hardly a connection begins at the moment that counts.
const CLIENTS: usize = 4;

pub(crate) fn measure(binaries: &Binaries) -> Measured {
    let (mut overlaps, mut worst, mut worst_light) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..STARTS {
        let upgrades = upgrades(binaries, CLIENTS, Duration::ZERO);
        let most = |times: &mut dyn Iterator<Item = Duration>| times.max().expect("there were upgrades");
        overlaps.push(most(&mut upgrades.iter().map(|(generation, upgrade)| upgrade.overlap(*generation))));
        worst.push(most(&mut upgrades.iter().map(|(generation, upgrade)| upgrade.worst(*generation))));
        let light = self::upgrades(binaries, 1, LIGHT);
        worst_light.push(most(&mut light.iter().map(|(generation, upgrade)| upgrade.worst(*generation))));
    }
    Measured::all([
        Row::millis(
            "both_accept",
            format!("both accept: longest of {UPGRADES} upgrades, {CLIENTS} busy clients"),
            overlaps,
        )
        .at_most(10.0),
        Row::millis("both_accept_worst", "  worst fresh connection meanwhile", worst),
        Row::millis("both_accept_worst_light", "  worst fresh connection, one client with pauses", worst_light),
    ])
}

/// Upgrades of one server, each with the generation it led to.
fn upgrades(binaries: &Binaries, clients: usize, pause: Duration) -> Vec<(u64, Upgrade)> {
    let mut server = binaries.ours();
    let fresh = Fresh::start(&server.address, clients, pause);
    let upgrade = |server: &mut Server| {
        let upgrade = server.upgrade(&fresh);
        (server.generation, upgrade)
    };
    (0..UPGRADES).map(|_| upgrade(&mut server)).collect()
}
