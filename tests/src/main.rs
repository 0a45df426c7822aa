//! The program `lab`: ten upgrades under load, and what the clients noticed.
//!
//! Exit status: 0 if no request was lost, 3 if any was, 1 if there was nothing to measure.

use std::error::Error;
use std::process::ExitCode;

use clap::Parser as _;
use lab::options::Options;
use lab::report::{losses, lost, table, verdict};
use lab::server_binary::server_binary;
use lab::show::Show;
use lab::upgrade_run::{UpgradeRun, upgrade_run};

fn main() -> ExitCode {
    let runs = match measure(&Options::parse()) {
        Ok(runs) => runs,
        Err(error) => {
            eprintln!("lab: {error}");
            return ExitCode::from(1);
        }
    };
    println!("{}\n{}{}", table(&runs), losses(&runs), verdict(&runs));
    if lost(&runs) == 0 { ExitCode::SUCCESS } else { ExitCode::from(3) }
}

fn measure(options: &Options) -> Result<Vec<UpgradeRun>, Box<dyn Error>> {
    let server = if let Some(path) = &options.server {
        path.clone()
    } else {
        let _building = Show::task("building the server of chapter 4: cargo build --release -p graceful-upgrade");
        server_binary()?
    };
    let mut runs = Vec::new();
    for scenario in options.scenarios() {
        let show = Show::upgrades(scenario, options.upgrades);
        runs.push(upgrade_run(&server, scenario, options.upgrades, |number, upgrade| show.upgraded(number, upgrade))?);
    }
    Ok(runs)
}
