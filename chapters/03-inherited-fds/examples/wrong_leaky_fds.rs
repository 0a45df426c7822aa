//! Wrong turn: clear CLOEXEC in the parent, so that the next program gets the listener.
//!
//! The flag belongs to the descriptor, so every program that is started from now on gets it, by whichever thread: here
//! a helper that knows nothing of it. When the server has ended, the helper still holds the port: clients connect and
//! wait for an answer that never comes, and the next server cannot bind.

use std::error::Error;
use std::net::TcpListener;
use std::process::Command;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};

fn main() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    fcntl(&listener, FcntlArg::F_SETFD(FdFlag::empty()))?;

    let helper = Command::new("sleep").arg("60").spawn()?;
    println!("the server ends; address={} helper={}", listener.local_addr()?, helper.id());
    Ok(())
}
