//! The program `lab`: ten upgrades under load, and what the clients noticed. Or, told so, timelines of single restarts, or
//! seven ways to restart side by side, or what others use beside ours.
//!
//! Exit status: 0 if no request was lost, 3 if any was, 1 if there was nothing to measure. Timelines and
//! comparisons show losses, so there they are no failure.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser as _;
use lab::options::{Command, Compare, Options, Peers};
use lab::peers::{self, Beside, Peer, Report};
use lab::report::{listing, losses, lost, table, verdict};
use lab::restart::{self, Comparison, Ours, Strategy};
use lab::server_binary::Built;
use lab::show::Show;
use lab::upgrade_run::upgrade_run;
use lab::{machine, timeline};

/// Idle connections across an upgrade of each peer.
const IDLE: u32 = 1000;

fn main() -> ExitCode {
    let options = Options::parse();
    let done = match &options.command {
        None => show_upgrades(&options),
        Some(Command::Timelines { directory }) => draw_timelines(directory),
        Some(Command::Compare(compare)) => self::compare(compare),
        Some(Command::Peers(peers)) => measure_peers(peers),
    };
    done.unwrap_or_else(|error| {
        eprintln!("lab: {error}");
        ExitCode::from(1)
    })
}

fn show_upgrades(options: &Options) -> Result<ExitCode, Box<dyn Error>> {
    let server = options.server.clone().map_or_else(build_server, Ok)?;
    let mut runs = Vec::new();
    for scenario in options.scenarios() {
        let show = Show::upgrades(scenario, options.upgrades);
        runs.push(upgrade_run(&server, scenario, options.upgrades, |number, upgrade| show.upgraded(number, upgrade))?);
    }
    println!("{}\n{}{}", table(&runs), losses(&runs), verdict(&runs));
    if let Some(file) = &options.book {
        std::fs::write(file, listing(&runs))?;
    }
    Ok(if lost(&runs) == 0 { ExitCode::SUCCESS } else { ExitCode::from(3) })
}

fn draw_timelines(directory: &Path) -> Result<ExitCode, Box<dyn Error>> {
    let server = build_server()?;
    let mut recordings = Vec::new();
    for way in timeline::Way::ALL {
        let _recording = Show::task(&format!("{}: {}", way.name(), way.title()));
        recordings.push(timeline::record(&server, way)?);
    }
    timeline::write(&recordings, directory)?;
    for recording in &recordings {
        println!("{}: {} answered, {} lost", recording.way.name(), recording.answered(), recording.lost());
    }
    Ok(ExitCode::SUCCESS)
}

fn compare(Compare { repeats, server, only, json, book }: &Compare) -> Result<ExitCode, Box<dyn Error>> {
    let load = machine::load();
    let mut ways = server.as_deref().map_or_else(build_ways, |server| Ok(Ours::of(server)))?;
    if !only.is_empty() {
        let names: Vec<_> = ways.iter().map(|way| way.name().to_owned()).collect();
        if let Some(unknown) = only.iter().find(|name| !names.contains(name)) {
            return Err(format!("there is no way called {unknown:?}; there are {}", names.join(", ")).into());
        }
        ways.retain(|way| only.iter().any(|name| name == way.name()));
    }
    let outcomes = {
        let show = Show::turns(ways.len(), *repeats);
        restart::side_by_side(&ways, *repeats, |way, repeat, restarts| show.restarted(way.title(), repeat, restarts))?
    };
    print!("{}", restart::table(&outcomes));
    let comparison = Comparison::new(machine::facts(load), *repeats, outcomes);
    if let Some(file) = json {
        comparison.write_json(file)?;
    }
    if let Some(directory) = book {
        comparison.write_for_book(directory)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn measure_peers(Peers { repeats, only, json, book }: &Peers) -> Result<ExitCode, Box<dyn Error>> {
    let load = machine::load();
    let peers = find_peers(only)?;
    let measured = {
        let show = Show::turns(peers.len(), *repeats);
        peers::in_turns(&peers, *repeats, |peer, repeat, number| show.restarted(peer.title(), repeat, number))
    };
    let beside: Vec<_> = peers
        .iter()
        .map(|peer| {
            let _beside = Show::task(&format!("{}: idle connections, and upgrades that fail", peer.title()));
            Beside::of(peer, IDLE)
        })
        .collect();
    print!("{}", restart::table(&measured.outcomes));
    let report = Report::new(beside, measured.failed);
    println!("{report}");
    let mut facts = machine::facts(load);
    facts.push(machine::Fact { key: "machine_versions", what: "servers", value: peers::versions(&peers) });
    let comparison = Comparison::new(facts, *repeats, measured.outcomes);
    if let Some(file) = json {
        report.write_json(&comparison, file)?;
    }
    if let Some(directory) = book {
        comparison.write_for_book(directory)?;
        report.write_for_book(directory)?;
        report.write_json(&comparison, &directory.join("figures.json"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Ours, and those of the others that are there; what is not, is said.
fn find_peers(only: &[String]) -> Result<Vec<Peer>, Box<dyn Error>> {
    let names: Vec<_> = peers::names().collect();
    if let Some(unknown) = only.iter().find(|name| !names.contains(&name.as_str())) {
        return Err(format!("there is no peer called {unknown:?}; there are {}", names.join(", ")).into());
    }
    let found = {
        let _building = Show::task("building the servers");
        peers::find(only)
    };
    for missing in &found.missing {
        eprintln!("lab: left out: {missing}");
    }
    if found.peers.is_empty() { Err("none of them is installed".into()) } else { Ok(found.peers) }
}

fn build_server() -> Result<PathBuf, Box<dyn Error>> {
    let _building = Show::task("building the server: cargo build --release -p graceful");
    Ok(Built::WHOLE.build()?)
}

fn build_ways() -> Result<Vec<Box<dyn Strategy>>, Box<dyn Error>> {
    let _building = Show::task("building the servers: cargo build --release");
    Ok(Ours::all()?)
}
