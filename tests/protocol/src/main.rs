//! Explores everything that can happen to a few generations, and prints how much that is, or how an invariant is broken.

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use protocol::explore::explore;
use protocol::model::{Limits, MOST, World};
use protocol::rules::Rules;

/// Explores the protocol between the generations of a server: every order of messages, signals, crashes and timeouts.
#[derive(Parser)]
#[allow(clippy::struct_excessive_bools, reason = "each is an option of its own")]
struct Args {
    /// Processes that may be started, the first one included; at most five.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=MOST as i64))]
    generations: u8,
    /// Processes that may crash, or find that they cannot accept.
    #[arg(long, default_value_t = 2)]
    crashes: u8,
    /// SIGTERM, to any process at any time.
    #[arg(long, default_value_t = 1)]
    stops: u8,
    /// Successors that may fail their health check.
    #[arg(long, default_value_t = 0)]
    rejections: u8,
    /// Clients that connect, one after the other.
    #[arg(long, default_value_t = 0)]
    clients: u8,
    /// Let a crash come between any two actions of a transition: many more worlds.
    #[arg(long)]
    each_action: bool,
    /// Chapter 4 alone: an old process does not wait until its successor has proven itself.
    #[arg(long)]
    no_probation: bool,
    /// Without chapter 5: connections stay where they are.
    #[arg(long)]
    no_handover: bool,
    /// With an init supervisor, which passes the stops on.
    #[arg(long)]
    supervised: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let Args { generations, crashes, stops, rejections, clients, .. } = args;
    let limits = Limits { generations, crashes, stops, rejections, clients };
    let (probation, handover) = (!args.no_probation, !args.no_handover);
    let rules = Rules { probation, handover, supervised: args.supervised, at_once: !args.each_action, mutant: None };
    let began = Instant::now();
    let explored = explore(limits, &rules);
    println!("{} worlds and {} steps in {:.1?}", explored.worlds, explored.steps, began.elapsed());
    let Some((says, steps)) = explored.broken else {
        println!("no invariant is broken");
        return ExitCode::SUCCESS;
    };
    println!("broken: {says}");
    let mut world = World::new(limits, &rules);
    for step in steps {
        world = world.after(step, &rules);
        println!("  {step:?}: {world}");
    }
    ExitCode::FAILURE
}
