//! Wrong turn: start the new server while the old one runs, and let it bind for itself.
//!
//! The address belongs to the old one: the new one gets EADDRINUSE and ends. So does the upgrade.

use std::env;
use std::error::Error;
use std::net::TcpListener;
use std::process::{Command, ExitCode};

fn main() -> Result<ExitCode, Box<dyn Error>> {
    if let Some(address) = env::args().nth(1) {
        println!("new: binding {address}");
        let _listener = TcpListener::bind(address)?;
        println!("new: listening");
        return Ok(ExitCode::SUCCESS);
    }
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?.to_string();
    println!("old: listening address={address}");
    let new = Command::new(env::current_exe()?).arg(address).status()?;
    println!("old: the new one ended with {new}");
    Ok(if new.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
