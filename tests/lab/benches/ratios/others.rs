//! What clients on other connections notice while thousands are handed over.
//!
//! The invariant: the calm and the handover are measured in turn, on the same server, and by the same rules: a stretch of
//! time in which other programs used the processors says nothing about us, and is left out of both. What they add is a row of its
//! own, and so is what the start of the successor adds.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::background_load::BackgroundLoad;
use crate::busy::{Busy, CLIENTS, Request};
use crate::client::Client;
use crate::many_idle::ManyIdle;
use crate::measured::Measured;
use crate::row::{Asked, Row};
use crate::servers::Change;

/// How often a server with all of them is upgraded under a load, and how many such servers there are.
const UPGRADES: u32 = 16;
const STARTS: usize = 7;

/// Before each upgrade, longer each time: or they might fall into step with something that happens once a second.
const PAUSE: Duration = Duration::from_millis(25);

/// Between a stretch and the look at the background load, which disturbs the clients itself.
const APART: Duration = Duration::from_millis(20);

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

/// What is compared.
pub(crate) struct Percentile {
    name: &'static str,
    per_mille: usize,
    asked: Asked,
}

pub(crate) const P99: Percentile = Percentile { name: "p99", per_mille: 990, asked: Asked::AtMost(2.0) };
pub(crate) const P999: Percentile = Percentile { name: "p99.9", per_mille: 999, asked: Asked::Nothing };

impl Percentile {
    fn of(&self, latencies: &[Duration]) -> Duration {
        let mut sorted = latencies.to_vec();
        sorted.sort_unstable();
        sorted[sorted.len() * self.per_mille / 1_000]
    }
}

pub(crate) fn measure<C: Client + 'static>(idle: &ManyIdle<'_, C>, percentile: &Percentile) -> Measured {
    let handing_over: Vec<_> = (0..STARTS).map(|_| upgrades(idle)).collect();
    let key = |end| format!("{}_others{end}", idle.key);
    let millis = |end, what, all: &[&Latencies], of: fn(&Latencies) -> &[Duration]| {
        Row::millis(key(end), what, all.iter().map(|it| percentile.of(of(it))))
    };
    let ratio = |end, what, all: &[&Latencies]| {
        let ratios = all.iter().map(|it| percentile.of(&it.during).div_duration_f64(percentile.of(&it.calm)));
        Row::ratio(key(end), what, ratios)
    };
    let all: Vec<_> = handing_over.iter().map(|it| &it.all).collect();
    let disturbed = Measured::all([
        ratio(
            "_disturbed",
            format!("{}: the same, with all that others do on this machine and its host", percentile.name),
            &all,
        ),
        millis("_disturbed_during", "  while they go over", &all, |it| &it.during),
        millis("_disturbed_calm", "  in the calm", &all, |it| &it.calm),
    ]);
    let quiet: Vec<_> = handing_over.iter().map(|it| &it.undisturbed).filter(|it| it.say_something()).collect();
    if quiet.is_empty() {
        let why = format!(
            "what other clients notice while {idle} go over: others were at work on this machine or its host all the time"
        );
        return disturbed.without([why]);
    }
    let what = format!("{} of other clients while {idle} go over / in the calm", percentile.name);
    Measured::all([
        ratio("", what, &quiet).asking(percentile.asked),
        millis("_during", "  while they go over", &quiet, |it| &it.during),
        millis("_calm", "  in the calm", &quiet, |it| &it.calm),
        millis("_upgrade", "  in the whole upgrade, the start of the successor included", &quiet, |it| &it.upgrade),
    ])
    .and(disturbed)
}

/// Upgrades a server under load, with a calm after each time that is as long.
fn upgrades<C: Client + 'static>(idle: &ManyIdle<'_, C>) -> Measurement {
    let mut server = (idle.start)();
    let mut silent = idle.connected(&server, idle.count);
    let busy = Busy::start(idle.connected(&server, CLIENTS));
    let (mut calm, mut during, mut whole) = (Vec::new(), Vec::new(), Vec::new());
    for upgrade in 0..UPGRADES {
        sleep(PAUSE * upgrade);
        let (Change { asked, draining, old_gone }, background) = alone(|| server.change());
        during.push(Stretch { from: draining, to: old_gone, background });
        whole.push(Stretch { from: asked, to: old_gone, background });
        let ((from, to), background) = alone(|| {
            let from = Instant::now();
            sleep(old_gone - asked);
            (from, Instant::now())
        });
        calm.push(Stretch { from, to, background });
    }
    let requests = busy.stop();
    for client in &mut silent {
        client.assert_answered_by(server.generation);
    }
    let latencies = |counts: fn(&Stretch) -> bool| Latencies {
        calm: latencies(&requests, calm.iter().filter(|stretch| counts(stretch))),
        during: latencies(&requests, during.iter().filter(|stretch| counts(stretch))),
        upgrade: latencies(&requests, whole.iter().filter(|stretch| counts(stretch))),
    };
    Measurement { undisturbed: latencies(|stretch| stretch.background < DISTURBED), all: latencies(|_| true) }
}

/// What happens, apart from the looks at the background load, and how much there was of it meanwhile.
fn alone<T>(happens: impl FnOnce() -> T) -> (T, Duration) {
    let before = BackgroundLoad::so_far();
    sleep(APART);
    let happened = happens();
    sleep(APART);
    (happened, BackgroundLoad::so_far().since(&before))
}

/// Of all requests that were under way in one of these stretches, if only in part.
fn latencies<'stretch>(requests: &[Request], stretches: impl Iterator<Item = &'stretch Stretch>) -> Vec<Duration> {
    let within = |stretch: &'stretch Stretch| {
        requests.iter().filter(|request| request.from <= stretch.to && stretch.from <= request.to)
    };
    stretches.flat_map(within).map(|request| request.to - request.from).collect()
}

impl Latencies {
    /// Whether there are enough of them for one in a thousand.
    fn say_something(&self) -> bool {
        self.calm.len().min(self.during.len()) >= 2_000
    }
}
