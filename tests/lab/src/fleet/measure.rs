//! One roll under load.
//!
//! The invariant: before the roll, the balancer has as many open connections to each instance as its clients can ever need at
//! a time; so each one that it opens afterwards takes the place of one that was closed under it.

use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use testkit::GaveUp;
use testkit::load::{Plan, Request};

use crate::restart::CannotMeasure;

use super::balancer::Kind;
use super::clients::{AT_A_TIME, Clients};
use super::figures::Run;
use super::instance::{Instance, Programs};
use super::machines::{FRONT, MACHINES};
use super::way::Way;

/// Load without a roll, to compare with, and after it: what the roll leaves behind shows by then.
const BEFORE: Duration = Duration::from_millis(600);
const AFTER: Duration = Duration::from_millis(400);

/// As long as it takes until all are on their way.
const HELD: &str = "/sleep/?duration=500ms";

/// Starts instances and a balancer, puts load on them, rolls the new version over the instances, and returns what came of it.
///
/// # Errors
/// If a server or the balancer does not start, or does not do what it is told. Lost requests are no error, but the result,
/// and neither is a version that does not work.
pub fn measure(way: Way, kind: Kind, balancer: &Path, programs: &Programs) -> Result<Run, CannotMeasure> {
    let new = |machine| Instance::new(machine, programs);
    let mut instances = MACHINES.into_iter().map(new).collect::<Result<Vec<_>, _>>()?;
    let mut balancer = kind.start(balancer)?;
    warm_up()?;

    let clients = Clients::start(&FRONT.to_string());
    sleep(BEFORE);
    let (opened, sent_again) = (balancer.opened(&instances)?, balancer.sent_again()?);
    let window = clients.during();
    let began = Instant::now();
    let roll = way.roll(programs, &mut instances, &mut *balancer)?;
    let ended = Instant::now();
    sleep(AFTER);
    drop(window);
    let (opened, sent_again) = (balancer.opened(&instances)? - opened, balancer.sent_again()? - sent_again);
    let seen = clients.stop();
    let (gap, calm_gap) = (seen.gap_between(began, ended + AFTER), seen.gap_before(began));
    Ok(Run { roll, opened, sent_again, gap, calm_gap, took: ended - began, seen })
}

/// Lets the balancer open its connections: with so many requests held that each instance has as many as there are clients.
fn warm_up() -> Result<(), CannotMeasure> {
    let held = AT_A_TIME * u32::try_from(MACHINES.len()).unwrap_or_default();
    let load = Plan::new(&FRONT.to_string()).request(Request::get(HELD)).connections(held).start();
    load.try_wait_until_warm()?;
    let tally = load.stop();
    let all = tally.lost == 0;
    all.then_some(())
        .ok_or_else(|| GaveUp(format!("not all requests were answered before:\n{}", tally.describe_losses())).into())
}
