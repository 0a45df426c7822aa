//! Experiment: a signal comes after the look at the flag and before the sleep.
//!
//! First as with pause(2), where it is lost; then blocked until ppoll(2) sleeps, as [`s1_flag::wait`] does.

use std::io;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::ppoll;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, raise};
use signal_channel::scratch::s1_flag;

/// How long we wait for the sleeper. A short time will do: nothing is on its way that could wake it.
const PATIENCE: Duration = Duration::from_millis(100);

fn main() -> io::Result<()> {
    s1_flag::install(Signal::SIGUSR1)?;
    println!("look, signal, sleep:                   {}", look_then_sleep(None)?);

    let open = SigSet::from(Signal::SIGUSR1).thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
    println!("block, look, signal, sleep unblocked:  {}", look_then_sleep(Some(open))?);
    Ok(())
}

// ANCHOR: look_then_sleep
fn look_then_sleep(mask_while_asleep: Option<SigSet>) -> io::Result<String> {
    if s1_flag::seen() {
        return Ok("there was a signal before the look".to_owned());
    }
    raise(Signal::SIGUSR1)?;
    let sleep = match ppoll(&mut [], Some(PATIENCE.into()), mask_while_asleep) {
        Err(Errno::EINTR) => "woken at once",
        _ => "still asleep",
    };
    Ok(format!("{sleep}, flag set: {}", s1_flag::seen()))
}
// ANCHOR_END: look_then_sleep
