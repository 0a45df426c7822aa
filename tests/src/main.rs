//! The program `lab`: ten upgrades under load, and what the clients noticed. Or, told so, timelines of single restarts.
//!
//! Exit status: 0 if no request was lost, 3 if any was, 1 if there was nothing to measure. Timelines show losses, so
//! there they are no failure.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser as _;
use lab::options::{Command, Options};
use lab::report::{losses, lost, table, verdict};
use lab::server_binary::server_binary;
use lab::show::Show;
use lab::timeline;
use lab::upgrade_run::upgrade_run;

fn main() -> ExitCode {
    let options = Options::parse();
    let done = match &options.command {
        None => show_upgrades(&options),
        Some(Command::Timelines { directory }) => draw_timelines(directory),
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

fn build_server() -> Result<PathBuf, Box<dyn Error>> {
    let _building = Show::task("building the server of chapter 4: cargo build --release -p graceful-upgrade");
    Ok(server_binary()?)
}
