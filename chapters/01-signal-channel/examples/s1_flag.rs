//! Step 1 at work: waits until SIGINT has set the flag.

use std::{io, process};

use signal_channel::Signal;
use signal_channel::scratch::s1_flag;

fn main() -> io::Result<()> {
    s1_flag::install(Signal::SIGINT)?;
    println!("waiting for SIGINT, pid {}", process::id());
    s1_flag::wait(Signal::SIGINT)?;
    println!("the flag is set");
    Ok(())
}
