//! What the book's server costs, how fast it is replaced, and what a signal costs on its way: `cargo bench -p lab`, or one
//! figure of it, say `cargo bench -p lab -- memory`. With `--book`, the book gets all of them: see [`book`].
//!
//! The invariant: a figure is a ratio of two things that were measured in turn in the same run, or a time with a limit
//! that any machine should keep; so the verdict is about the server and not about the machine. A time without a limit
//! is there to be compared with its neighbours. If a figure is missed, the exit status is 1.
//!
//! Follow a figure: its module measures, with servers from [`servers`] and clients from [`closed_loop`], [`fresh`] or
//! [`client`], and makes [`row::Row`]s of its samples, and curves of rows that differ in nothing but the size of the work; [`table`]
//! prints them. To be its own plain hyper server, among others, this program starts itself again: see [`roles`].

mod background_load;
mod book;
mod both_accept;
mod busy;
mod client;
mod closed_loop;
mod compared;
mod descriptors;
mod dispatch;
mod echo;
mod first_answer;
mod fresh;
mod generations;
mod h2load;
mod handover;
mod http2;
mod http2_client;
mod idle;
mod instructions;
mod listeners;
mod many_idle;
mod measured;
mod memory;
mod old_gone;
mod others;
mod pairs;
mod process;
mod roles;
mod row;
mod servers;
mod sized;
mod spawn;
mod table;
mod throughput;
mod tls;
#[path = "../../../../chapters/07-every-connection/tests/tls/client.rs"]
mod tls_client;
mod upgrades;
mod websocket;
mod websocket_client;

use std::path::PathBuf;
use std::process::ExitCode;

use lab::show::Show;

use measured::Measured;
use roles::Role;
use servers::Binaries;

/// A figure.
#[derive(Clone, Copy)]
struct Figure {
    /// Its name on the command line.
    name: &'static str,
    /// What it shows.
    title: &'static str,
    measure: fn(&Binaries) -> Measured,
}

const FIGURES: [Figure; 16] = [
    Figure { name: "throughput", title: "cost of a request, ours / plain hyper", measure: throughput::measure },
    Figure {
        name: "instructions",
        title: "instructions for a request, ours / plain hyper",
        measure: instructions::measure,
    },
    Figure {
        name: "memory",
        title: "memory of an idle keep-alive connection, ours / plain hyper",
        measure: memory::measure,
    },
    Figure {
        name: "first-answer",
        title: "from SIGUSR2 to the first answer of the new process",
        measure: first_answer::measure,
    },
    Figure {
        name: "upgrades",
        title: "latency of a service that is upgraded twice a second",
        measure: upgrades::measure,
    },
    Figure { name: "both-accept", title: "how long both processes accept, under load", measure: both_accept::measure },
    Figure { name: "old-gone", title: "from readiness to the end of an idle old process", measure: old_gone::measure },
    Figure { name: "spawn", title: "starting the successor of a large process", measure: spawn::measure },
    Figure { name: "listeners", title: "an upgrade with many listeners", measure: listeners::measure },
    Figure { name: "idle", title: "an upgrade that closes many idle connections", measure: idle::measure },
    Figure { name: "generations", title: "a hundred generations, one after the other", measure: generations::measure },
    Figure { name: "handover", title: "connections handed to the new process", measure: handover::measure },
    Figure { name: "http2", title: "HTTP/2 connections, with chapter 7's gate", measure: http2::measure },
    Figure { name: "websocket", title: "websockets, with chapter 7's gate", measure: websocket::measure },
    Figure { name: "tls", title: "connections under chapter 7's TLS, ours / tokio-rustls", measure: tls::measure },
    Figure { name: "dispatch", title: "from kill(2) to the code that has the signal", measure: dispatch::measure },
];

/// The load of a machine that has nothing else to do. Beyond it, the servers compete with other programs for their processors.
const QUIET: f64 = 0.5;

/// Asks for all figures, for the book.
const BOOK: &str = "--book";

/// Before the path of a server that is measured in place of ours, say an older build of it: a program that takes `--listen`,
/// logs and answers as ours does.
const SERVER: &str = "--server";

fn main() -> ExitCode {
    // Cargo passes `--bench` to tell a test binary that it should measure.
    let mut words: Vec<_> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    if let Some(role) = Role::from_arguments(&words) {
        return role.play();
    }
    let server = words.iter().position(|word| word == SERVER).filter(|at| at + 1 < words.len());
    let server = server.and_then(|at| words.drain(at..at + 2).next_back()).map(PathBuf::from);
    let for_book = words == [BOOK] && server.is_none();
    let asked: Vec<_> = FIGURES
        .into_iter()
        .filter(|figure| words.is_empty() || for_book || words.iter().any(|word| figure.name.contains(word)))
        .collect();
    if asked.is_empty() {
        let names = FIGURES.map(|figure| figure.name).join(", ");
        eprintln!(
            "ratios: there is no figure called {words:?}; there are {names}; {BOOK} alone writes all into the book, and \
             {SERVER} PATH measures another server in place of ours"
        );
        return ExitCode::FAILURE;
    }
    let binaries = {
        let _building = Show::task("building the servers in release");
        match Binaries::build(server) {
            Ok(binaries) => binaries,
            Err(error) => {
                eprintln!("ratios: {error}");
                return ExitCode::FAILURE;
            }
        }
    };

    let load = lab::machine::load();
    let mut sections = Vec::new();
    for figure in asked {
        let _measuring = Show::task(&format!("{}: {}", figure.name, figure.title));
        sections.push((figure, (figure.measure)(&binaries)));
    }
    println!("{}\n{}", table::table(&sections), surroundings(load));
    let left_out: Vec<_> = sections.iter().flat_map(|(_, measured)| &measured.left_out).collect();
    for sentence in &left_out {
        eprintln!("ratios: left out: {sentence}");
    }
    if for_book {
        // The pages use every figure, so a part of them would leave gaps in sentences.
        if !left_out.is_empty() {
            eprintln!("ratios: the book keeps its old figures, as some are left out");
            return ExitCode::FAILURE;
        }
        if let Err(error) = book::write(&sections, load) {
            eprintln!("ratios: cannot write the book's figures: {error}");
            return ExitCode::FAILURE;
        }
    }
    let missed = sections.iter().flat_map(|(_, measured)| &measured.rows).any(|row| row.kept() == Some(false));
    // The book says itself what was missed.
    if missed && !for_book { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// What to make of the numbers, given what else the machine had to do.
fn surroundings(load: f64) -> String {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let advice = if load > QUIET { "; it was busy with other things: measure again when it is not" } else { "" };
    format!("{processors} processors, load {load:.2} before the first measurement{advice}")
}
