//! How long the new process takes until it answers, compared with what no program can avoid.
//!
//! The invariant: each upgrade is compared with a start of the same program right before it, from the spawn until its
//! `main` writes its first byte.

use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::fresh::{Fresh, LIGHT};
use crate::measured::Measured;
use crate::row::Row;
use crate::servers::{Binaries, Server};

/// How often a server is started, and how often each of them is upgraded.
const STARTS: usize = 5;
const UPGRADES: usize = 10;

pub(crate) fn measure(binaries: &Binaries) -> Measured {
    let ours = of(&binaries.ours, || binaries.ours(), "", "");
    let polite = of(&binaries.polite, || binaries.polite(), "_polite", ", chapter 4's");
    Measured::all(ours.into_iter().chain(polite))
}

fn of(program: &Path, start: impl Fn() -> Server, end: &str, whose: &str) -> [Row; 3] {
    let mut pairs = Vec::new();
    for _ in 0..STARTS {
        let mut server = start();
        let fresh = Fresh::start(&server.address, 1, LIGHT);
        for _ in 0..UPGRADES {
            let floor = until_main(program);
            let upgrade = server.upgrade(&fresh);
            pairs.push((upgrade.first_answer(server.generation) - upgrade.asked, floor));
        }
    }
    let ratios = pairs.iter().map(|(answer, floor)| answer.div_duration_f64(*floor));
    let name = format!("compared with a start of the program until `main`{whose}");
    [
        Row::ratio(format!("first_answer{end}_ratio"), name, ratios).at_most(5.0),
        Row::millis(
            format!("first_answer{end}_ours"),
            "  until the first answer",
            pairs.iter().map(|(answer, _)| *answer),
        ),
        Row::millis(
            format!("first_answer{end}_floor"),
            "  from spawn to `main`",
            pairs.iter().map(|(_, floor)| *floor),
        ),
    ]
}

/// From the spawn to the refusal of a wrong argument, the first thing that the program may have to say.
fn until_main(program: &Path) -> Duration {
    let mut command = Command::new(program);
    command.arg("--no-such-option").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let began = Instant::now();
    let mut child = command.spawn().expect("it was built");
    let stderr = child.stderr.as_mut().expect("it is a pipe");
    stderr.read_exact(&mut [0]).expect("it refuses the argument");
    let time = began.elapsed();
    child.wait().expect("it is our child");
    time
}
