//! One server, restarted by one strategy again and again under load.
//!
//! The invariant: the next restart begins when the last one is over: the new process has answered, and every process that
//! answered before is gone. So every number belongs to one restart.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use nix::unistd::Pid;
use testkit::load::{Load, Plan};
use testkit::{GaveUp, try_await_exit};

use super::figures::{Fresh, Restart, Run};
use super::prober::{Probe, Prober};
use super::strategy::{CannotMeasure, Running, Strategy};

/// How often a server is restarted in a run.
pub const RESTARTS: u32 = 8;

/// Keep-alive connections under load.
pub const CONNECTIONS: u32 = 32;

/// The longest pause of their clients: short, as a request that sets out while its connection is being closed is the one to
/// be lost.
const LONGEST_THOUGHT: Duration = Duration::from_millis(20);

/// Load without restarts, to compare with.
const BEFORE: Duration = Duration::from_millis(600);

/// Around each restart: clients that meet it have come and gone by then.
const AFTER: Duration = Duration::from_millis(60);
const BETWEEN: Duration = Duration::from_millis(100);

/// Restarts a server by one strategy [`RESTARTS`] times under load, and tells `watch` how often it has.
///
/// # Errors
/// If it does not start, or one of its restarts brings no process that answers, or the old one does not end. Lost requests
/// are no error, but the result.
pub fn measure(strategy: &dyn Strategy, mut watch: impl FnMut(u32)) -> Result<Run, CannotMeasure> {
    let mut running = strategy.start()?;
    let address: SocketAddr = running
        .address()
        .parse()
        .map_err(|error| GaveUp(format!("{} is no address to connect to: {error}", running.address())))?;
    let load = Plan::new(running.address()).connections(CONNECTIONS).think(Duration::ZERO..LONGEST_THOUGHT).start();
    let client = Prober::start(address);
    sleep(BEFORE);
    let mut fresh = Fresh::default();
    let mut restarts = Vec::new();
    for number in 1..=RESTARTS {
        restarts.push(restart(&mut *running, &load, &client, &mut fresh)?);
        watch(number);
        sleep(BETWEEN);
    }
    fresh.count(&client.stop(), false);
    Ok(Run { restarts, kept: load.stop(), fresh })
}

fn restart(
    running: &mut dyn Running,
    load: &Load,
    client: &Prober,
    fresh: &mut Fresh,
) -> Result<Restart, CannotMeasure> {
    let before: Vec<_> = client.taken().collect();
    fresh.count(&before, false);
    let recently = Instant::now().checked_sub(BETWEEN);
    let before: Vec<_> = before.into_iter().filter(|probe| recently.is_none_or(|from| probe.ended > from)).collect();
    let old: BTreeSet<_> = before.iter().filter_map(Probe::pid).collect();

    let window = load.during();
    let signalled = Instant::now();
    let by_new = |probe: &Probe| probe.pid().is_some_and(|pid| !old.contains(&pid));
    let (probes, old_gone) = thread::scope(|scope| {
        let gone: Vec<_> = old.iter().map(|pid| scope.spawn(move || gone(*pid))).collect();
        running.restart()?;
        let probes = client.until("an answer of a new process", by_new)?;
        let gone = gone.into_iter().map(|gone| gone.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        let gone = gone.collect::<Result<Vec<_>, _>>()?;
        Ok::<_, CannotMeasure>((probes, gone.into_iter().max().unwrap_or(signalled)))
    })?;
    sleep(AFTER);
    drop(window);
    let probes: Vec<_> = probes.into_iter().chain(client.taken()).collect();
    fresh.count(&probes, true);
    running.settle()?;
    // A service that ends with the signal was seen last by a probe before it.
    let probes: Vec<_> = before.into_iter().chain(probes).collect();
    Restart::seen_in(&probes, signalled, &old, old_gone)
        .ok_or_else(|| GaveUp("the new process gave no answer".to_owned()).into())
}

fn gone(pid: u32) -> Result<Instant, GaveUp> {
    try_await_exit(Pid::from_raw(pid.cast_signed()))?;
    Ok(Instant::now())
}
