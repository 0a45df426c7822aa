//! What the book's server costs, and how fast it is replaced: `cargo bench -p lab`, or one figure of it, say
//! `cargo bench -p lab -- memory`.
//!
//! The invariant: a figure is a ratio of two things that were measured in turn in the same run, or a time with a limit
//! that any machine should keep; so the verdict is about the server and not about the machine. And a figure that is
//! missed makes the exit status 1.
//!
//! Follow a figure: its module measures, with servers from [`servers`] and clients from [`closed_loop`] or [`fresh`],
//! and makes [`row::Row`]s of its samples; [`table`] prints them. To be its own plain hyper server, among others, this
//! program starts itself again: see [`roles`].

mod both_accept;
mod closed_loop;
mod first_answer;
mod fresh;
mod memory;
mod old_gone;
mod process;
mod roles;
mod row;
mod servers;
mod sized;
mod spawn;
mod table;
mod throughput;

use std::process::ExitCode;

use lab::server_binary::server_binary;
use lab::show::Show;

use roles::Role;
use row::Row;
use servers::Binaries;

/// A figure: the name to ask for it by, what it shows, and what measures it.
type Figure = (&'static str, &'static str, fn(&Binaries) -> Vec<Row>);

const FIGURES: [Figure; 6] = [
    ("throughput", "cost of a request, ours / plain hyper", throughput::measure),
    ("memory", "memory of an idle keep-alive connection, ours / plain hyper", memory::measure),
    ("first-answer", "from SIGUSR2 to the first answer of the new process", first_answer::measure),
    ("both-accept", "how long both processes accept, under load", both_accept::measure),
    ("old-gone", "from readiness to the end of an idle old process", old_gone::measure),
    ("spawn", "starting the successor of a large process", spawn::measure),
];

/// The load of a machine that has nothing else to do. Beyond it, the servers compete with strangers for their processors.
const QUIET: f64 = 0.5;

fn main() -> ExitCode {
    // Cargo passes `--bench` to tell a test binary that it should measure.
    let words: Vec<_> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    if let Some(role) = Role::from_arguments(&words) {
        return role.play();
    }
    let asked: Vec<_> =
        FIGURES.iter().filter(|(name, ..)| words.is_empty() || words.iter().any(|word| name.contains(word))).collect();
    if asked.is_empty() {
        let names = FIGURES.map(|(name, ..)| name).join(", ");
        eprintln!("ratios: there is no figure called {words:?}; there are {names}");
        return ExitCode::FAILURE;
    }
    let binaries = {
        let _building = Show::task("building the server of chapter 4: cargo build --release -p graceful-upgrade");
        match server_binary() {
            Ok(ours) => Binaries::new(ours),
            Err(error) => {
                eprintln!("ratios: {error}");
                return ExitCode::FAILURE;
            }
        }
    };

    let load = process::load();
    let mut sections = Vec::new();
    for (name, title, measure) in asked {
        let _measuring = Show::task(&format!("{name}: {title}"));
        sections.push((*title, measure(&binaries)));
    }
    println!("{}\n{}", table::table(&sections), surroundings(load));
    let missed = sections.iter().flat_map(|(_, rows)| rows).filter(|row| row.kept() == Some(false)).count();
    if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What to make of the numbers, given what else the machine had to do.
fn surroundings(load: f64) -> String {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let advice = if load > QUIET { "; it was busy with other things: measure again when it is not" } else { "" };
    format!("{processors} processors, load {load:.2} before the first measurement{advice}")
}
