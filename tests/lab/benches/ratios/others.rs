//! What clients on other connections notice while thousands are handed over.
//!
//! The invariant: the calm and the handover are measured in turn, on the same server, and by the same rules: a stretch of
//! time in which other programs used the processors says nothing about us, and is left out of both. What they add is a row of its
//! own, and so is what the start of the successor adds.

use std::time::{Duration, Instant};

use indicatif::HumanCount;
use testkit::load::{Entry, Load, Plan, Tally};

use crate::background_load::BackgroundLoad;
use crate::measured::Measured;
use crate::row::Row;
use crate::servers::{Binaries, Change, Server};

/// The load: four clients with a request every two milliseconds each, whatever happens.
pub(crate) const CLIENTS: u32 = 4;
pub(crate) const INTERVAL: Duration = Duration::from_millis(2);

/// How often a server with all of them is upgraded under a load, and how many such servers there are.
const UPGRADES: u64 = 16;
const STARTS: usize = 7;

/// Answers in the calm before each upgrade: it is as long as the upgrade or longer. Each has another length, or the upgrades
/// might fall into step with something that happens once a second.
const CALM: u64 = 600;
const LONGER: u64 = 50;

/// Answers between a stretch and the look at the background load, which disturbs the clients itself.
const APART: u64 = 40;

/// The processor time of other programs from which a stretch is left out.
const DISTURBED: Duration = Duration::from_millis(1);

/// A stretch of time, and how much processor time other programs have used in it.
struct Stretch {
    from: Instant,
    to: Instant,
    background: Duration,
}

/// The latencies of one server's clients.
struct Latencies {
    calm: Vec<Duration>,
    /// While the connections went over, from the line `draining` until the old process was gone.
    during: Vec<Duration>,
    /// In the whole upgrade, from the signal on.
    upgrade: Vec<Duration>,
}

/// The result of one server.
struct Measurement {
    undisturbed: Latencies,
    all: Latencies,
}

pub(crate) fn measure(binaries: &Binaries, connections: u32) -> Measured {
    let handing_over: Vec<_> = (0..STARTS).map(|_| upgrades(binaries.ours(), connections, UPGRADES)).collect();
    let count = HumanCount(connections.into());
    let quiet: Vec<_> = handing_over.iter().map(|it| &it.undisturbed).filter(|it| it.say_something()).collect();
    if quiet.is_empty() {
        let why =
            "what other clients notice of a handover: others were at work on this machine or its host all the time";
        return Measured::all([]).without([why.to_owned()]);
    }
    let ratio = |it: &Latencies| p999(&it.during).div_duration_f64(p999(&it.calm));
    Measured::all([
        Row::ratio(
            "handover_others",
            format!("p99.9 of other clients while {count} go over / in the calm"),
            quiet.iter().map(|it| ratio(it)),
        ),
        Row::millis("handover_others_during", "  while they go over", quiet.iter().map(|it| p999(&it.during))),
        Row::millis("handover_others_calm", "  in the calm", quiet.iter().map(|it| p999(&it.calm))),
        Row::millis(
            "handover_others_upgrade",
            "  in the whole upgrade, the start of the successor included",
            quiet.iter().map(|it| p999(&it.upgrade)),
        ),
        Row::ratio(
            "handover_others_disturbed",
            "the same, with all that others do on this machine and its host",
            handing_over.iter().map(|it| ratio(&it.all)),
        ),
        Row::millis(
            "handover_others_disturbed_during",
            "  while they go over",
            handing_over.iter().map(|it| p999(&it.all.during)),
        ),
        Row::millis(
            "handover_others_disturbed_calm",
            "  in the calm",
            handing_over.iter().map(|it| p999(&it.all.calm)),
        ),
    ])
}

/// Upgrades a server under load, with a calm before each time.
fn upgrades(mut server: Server, connections: u32, upgrades: u64) -> Measurement {
    let _idle = server.idle(connections);
    let load = Plan::new(&server.address).connections(CLIENTS).every(INTERVAL).journal().start();
    load.wait_until_warm();
    let (mut calm, mut during, mut whole) = (Vec::new(), Vec::new(), Vec::new());
    for upgrade in 0..upgrades {
        let ((from, to), background) = alone(&load, || {
            let from = Instant::now();
            load.wait_for_answers(CALM + LONGER * upgrade);
            (from, Instant::now())
        });
        calm.push(Stretch { from, to, background });
        let (Change { asked, draining, old_gone: to }, background) = alone(&load, || server.change());
        during.push(Stretch { from: draining, to, background });
        whole.push(Stretch { from: asked, to, background });
    }
    let journal = kept(load.stop(), CLIENTS).journal;
    let latencies = |counts: fn(&Stretch) -> bool| Latencies {
        calm: latencies(&journal, calm.iter().filter(|stretch| counts(stretch))),
        during: latencies(&journal, during.iter().filter(|stretch| counts(stretch))),
        upgrade: latencies(&journal, whole.iter().filter(|stretch| counts(stretch))),
    };
    Measurement { undisturbed: latencies(|stretch| stretch.background < DISTURBED), all: latencies(|_| true) }
}

/// What happens, apart from the looks at the background load, and how much there was of it meanwhile.
fn alone<T>(load: &Load, happens: impl FnOnce() -> T) -> (T, Duration) {
    let before = BackgroundLoad::so_far();
    load.wait_for_answers(APART);
    let happened = happens();
    load.wait_for_answers(APART);
    (happened, BackgroundLoad::so_far().since(&before))
}

/// Of all requests that were under way in one of these stretches, if only in part.
fn latencies<'stretch>(journal: &[Entry], stretches: impl Iterator<Item = &'stretch Stretch>) -> Vec<Duration> {
    let within = |stretch: &'stretch Stretch| {
        journal.iter().filter(|entry| entry.from <= stretch.to && stretch.from <= entry.to)
    };
    stretches.flat_map(within).map(|entry| entry.to - entry.from).collect()
}

impl Latencies {
    /// Whether there are enough of them for one in a thousand.
    fn say_something(&self) -> bool {
        self.calm.len().min(self.during.len()) >= 2_000
    }
}

fn p999(latencies: &[Duration]) -> Duration {
    let mut sorted = latencies.to_vec();
    sorted.sort_unstable();
    sorted[sorted.len() * 999 / 1_000]
}

/// The tally of a load that lost nothing, and no connection.
pub(crate) fn kept(tally: Tally, connections: u32) -> Tally {
    tally.assert_nothing_lost();
    assert_eq!(tally.connections, u64::from(connections), "a connection was closed");
    tally
}
