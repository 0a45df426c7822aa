//! Step 2 at work: reads signals from a pipe until one of them says quit.

use std::{io, process};

use signal_channel::Signal;
use signal_channel::scratch::s2_self_pipe::SelfPipe;

fn main() -> io::Result<()> {
    let signals = SelfPipe::open(&[Signal::SIGUSR1, Signal::SIGINT, Signal::SIGTERM])?;
    println!("waiting for SIGUSR1, SIGINT or SIGTERM, pid {}", process::id());
    for signal in signals {
        println!("read byte {} from the pipe: {signal}", signal as i32);
        if signal != Signal::SIGUSR1 {
            break;
        }
    }
    Ok(())
}
