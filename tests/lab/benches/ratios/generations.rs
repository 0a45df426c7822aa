//! Whether the hundredth generation is as quick and as small as the first ones.
//!
//! The invariant: late generations are compared with early ones of the same chain, each the child of the one before it.
//! What they hold is counted while one client is connected that has had one answer, so they differ only in what they
//! inherited.

mod chain;

use std::time::Duration;

use lab::curve::{Chart, Curve, Unit};
use testkit::Census;

use crate::fresh::{Fresh, LIGHT};
use crate::measured::Measured;
use crate::process::anonymous_memory;
use crate::row::Row;
use crate::servers::Binaries;
use chain::{BANDS, Band, Chain, FIRST, LAST};

/// How often a first generation is started.
const CHAINS: usize = 5;

/// What the generations of a chain hold.
struct Held {
    memory: Chain,
    descriptors: Chain,
    threads: Chain,
}

pub(crate) fn measure(binaries: &Binaries) -> Measured {
    let (times, held): (Vec<_>, Vec<_>) = (0..CHAINS).map(|_| (first_answers(binaries), held(binaries))).unzip();
    let [first, .., last] = BANDS.map(Band::words);
    let growth = |key, what, chains: &mut dyn Iterator<Item = &Chain>| {
        Row::ratio(key, format!("{what}, generations {last} / {first}"), chains.map(Chain::growth))
    };
    let memory = || held.iter().map(|held| &held.memory);
    let mut rows = vec![
        growth("generations_ratio", "until the first answer", &mut times.iter()).at_most(1.25),
        growth("generations_memory_ratio", "memory of its own", &mut memory()).at_most(1.1),
    ];
    rows.extend(count("descriptors", held.iter().map(|held| &held.descriptors)));
    rows.extend(count("threads", held.iter().map(|held| &held.threads)));

    let (mut answers, mut sizes) = (Vec::new(), Vec::new());
    for band in BANDS {
        let name = format!("until the first answer, generations {}", band.words());
        let times = times.iter().flat_map(|chain| chain.band(band));
        let times = times.map(|seconds| Duration::from_secs_f64(*seconds));
        let answer = Row::millis(format!("generations_{}", band.to), name, times);
        let name = format!("  memory of its own, generations {}", band.words());
        let memory = memory().flat_map(|chain| chain.band(band)).copied();
        let size = Row::kib(format!("generations_memory_{}", band.to), name, memory);
        answers.push(answer.point(band.middle()));
        sizes.push(size.point(band.middle()));
        rows.extend([answer, size]);
    }
    let chart = |name, title, unit, curve| {
        let [many, one] = ["generation", "generation"];
        Chart { name, title, many, one, unit, curves: vec![curve] }
    };
    let answers = Curve { key: "generations", what: "SIGUSR2 to the first answer", points: answers };
    let sizes = Curve { key: "generations_memory", what: "memory of its own", points: sizes };
    let charts = [
        chart("generations", "What an upgrade takes, by generation", Unit::Millis, answers),
        chart("generations-memory", "The memory of a process, by generation", Unit::Kib, sizes),
    ];
    Measured::all(rows).and_charts(charts)
}

/// A count that must not grow.
fn count<'chain>(what: &str, chains: impl Iterator<Item = &'chain Chain> + Clone) -> [Row; 2] {
    let key = format!("generations_{what}");
    let more = chains.clone().map(|chain| chain.last() - chain.first());
    let name = format!("{what} of generation {LAST}, more than of generation {FIRST}");
    let all = Row::count(&key, format!("  {what} of generation {LAST}"), chains.map(Chain::last));
    [Row::count(format!("{key}_more"), name, more).at_most(0.0), all]
}

/// From the signal to the first answer, in seconds.
fn first_answers(binaries: &Binaries) -> Chain {
    let mut server = binaries.ours();
    let fresh = Fresh::start(&server.address, 1, LIGHT);
    let [chain] = Chain::several(|generation| {
        let upgrade = server.upgrade(&fresh);
        [(upgrade.first_answer(generation.into()) - upgrade.asked).as_secs_f64()]
    });
    chain
}

fn held(binaries: &Binaries) -> Held {
    let mut server = binaries.ours();
    let nobody = Fresh::start(&server.address, 0, LIGHT);
    let [memory, descriptors, threads] = Chain::several(|_| {
        server.upgrade(&nobody);
        // From then on it holds nothing of the one before it.
        server.program.line("an older generation has ended");
        let _connected = server.used_once();
        let Census { descriptors, threads, .. } = Census::of(server.serving);
        let few = |count: Option<u16>| f64::from(count.expect("there are not so many"));
        let counts = [few(descriptors.len().try_into().ok()), few(threads.try_into().ok())];
        [f64::from(anonymous_memory(server.serving)), counts[0], counts[1]]
    });
    Held { memory, descriptors, threads }
}
