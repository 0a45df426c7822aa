//! The program `lab`: ten upgrades under load, and what the clients noticed. Or, told so, timelines of single restarts, or
//! seven ways to restart side by side, or what others use beside ours, or rolls over a fleet.
//!
//! Exit status: 0 if no request was lost, 3 if any was, 1 if there was nothing to measure. Timelines and
//! comparisons show losses, so there they are no failure.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser as _;
use lab::fleet::{self, Kind, Way, machines};
use lab::options::{Command, Compare, Fleet, Options, Peers};
use lab::peers::{self, Beside, IdleReport, Peer, Report};
use lab::report::{listing, losses, lost, table, verdict};
use lab::restart::{self, Comparison, Ours, Strategy};
use lab::server_binary::Built;
use lab::show::Show;
use lab::upgrade_run::upgrade_run;
use lab::{machine, timeline};

fn main() -> ExitCode {
    let options = Options::parse();
    let done = match &options.command {
        None => show_upgrades(&options),
        Some(Command::Timelines { directory }) => draw_timelines(directory),
        Some(Command::Compare(compare)) => self::compare(compare),
        Some(Command::Peers(peers)) if peers.idle => count_idle(peers),
        Some(Command::Peers(peers)) => measure_peers(peers),
        Some(Command::Fleet(fleet)) if fleet.inside.is_empty() => enter_fleet(fleet),
        Some(Command::Fleet(fleet)) => roll_fleet(fleet),
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

fn measure_peers(Peers { repeats, only, json, book, .. }: &Peers) -> Result<ExitCode, Box<dyn Error>> {
    let load = machine::load();
    let peers = find_peers(only)?;
    let measured = {
        let show = Show::turns(peers.len(), *repeats);
        peers::in_turns(&peers, *repeats, |peer, repeat, number| show.restarted(peer.title(), repeat, number))
    };
    let beside: Vec<_> = peers
        .iter()
        .map(|peer| {
            let _beside = Show::task(&format!("{}: upgrades that fail", peer.title()));
            Beside::of(peer)
        })
        .collect();
    print!("{}", restart::table(&measured.outcomes));
    let report = Report::new(beside, measured.failed);
    println!("{report}");
    let comparison = Comparison::new(facts_with(&peers, load), *repeats, measured.outcomes);
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

fn count_idle(Peers { only, json, book, .. }: &Peers) -> Result<ExitCode, Box<dyn Error>> {
    let load = machine::load();
    let peers = find_peers(only)?;
    let report = {
        let mut show = None;
        IdleReport::of(facts_with(&peers, load), &peers, |peer, protocol| {
            drop(show.take());
            show = Some(Show::task(&format!("{}: {}", peer.title(), protocol.title())));
        })
    };
    println!("{report}");
    if let Some(file) = json {
        report.write_json(file)?;
    }
    if let Some(directory) = book {
        report.write_for_book(directory)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The machine, with the versions of the servers.
fn facts_with(peers: &[Peer], load: f64) -> Vec<machine::Fact> {
    let versions = machine::Fact { key: "machine_versions", what: "servers", value: peers::versions(peers) };
    machine::facts(load).into_iter().chain([versions]).collect()
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

/// Runs the lab once more, where the machines of the fleet are.
fn enter_fleet(fleet: &Fleet) -> Result<ExitCode, Box<dyn Error>> {
    chosen("way", &fleet.only, &Way::ALL, Way::name)?;
    chosen("balancer", &fleet.behind, &Kind::ALL, Kind::name)?;
    let found = fleet::find(&fleet.behind);
    for missing in &found.missing {
        eprintln!("lab: left out: {missing}");
    }
    if found.balancers.is_empty() {
        return Err("no balancer is installed".into());
    }
    let programs = if let (Some(server), Some(command)) = (&fleet.server, &fleet.command) {
        [server.clone(), command.clone()]
    } else {
        let _building = Show::task("building the server: cargo build --release -p graceful");
        [Built::WHOLE.build()?, Built::COMMAND.build()?]
    };
    let more: Vec<_> = ["--inside".into()].into_iter().chain(programs.map(PathBuf::into_os_string)).collect();
    let status = machines::enter(&more)?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}

fn roll_fleet(Fleet { repeats, only, behind, json, book, inside, .. }: &Fleet) -> Result<ExitCode, Box<dyn Error>> {
    let load = machine::load();
    let [server, command] = inside.as_slice() else { return Err("--inside takes a server and a command".into()) };
    let programs = fleet::Programs::new(server, command)?;
    let ways = chosen("way", only, &Way::ALL, Way::name)?;
    let balancers = fleet::find(behind).balancers;
    let (outcomes, failed) = {
        let mut show = None;
        fleet::in_turns(&balancers, &ways, *repeats, &programs, |run| {
            drop(show.take());
            show = Some(Show::task(run));
        })
    };
    let mut facts = machine::facts(load);
    let versions: Vec<_> = balancers.iter().filter_map(|(kind, _)| kind.version()).collect();
    facts.push(machine::Fact { key: "machine_versions", what: "balancers", value: versions.join(", ") });
    let report = fleet::Report::new(facts, *repeats, outcomes, failed);
    println!("{report}");
    if let Some(file) = json {
        report.write_json(file)?;
    }
    if let Some(directory) = book {
        report.write_for_book(directory)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Those of these names; all, if there are none.
fn chosen<T: Copy>(what: &str, names: &[String], all: &[T], name: fn(T) -> &'static str) -> Result<Vec<T>, String> {
    let there: Vec<_> = all.iter().map(|one| name(*one)).collect();
    if let Some(unknown) = names.iter().find(|name| !there.contains(&name.as_str())) {
        return Err(format!("there is no {what} called {unknown:?}; there are {}", there.join(", ")));
    }
    Ok(all.iter().copied().filter(|one| names.is_empty() || names.iter().any(|wanted| wanted == name(*one))).collect())
}

fn build_server() -> Result<PathBuf, Box<dyn Error>> {
    let _building = Show::task("building the server: cargo build --release -p graceful");
    Ok(Built::WHOLE.build()?)
}

fn build_ways() -> Result<Vec<Box<dyn Strategy>>, Box<dyn Error>> {
    let _building = Show::task("building the servers: cargo build --release");
    Ok(Ours::all()?)
}
