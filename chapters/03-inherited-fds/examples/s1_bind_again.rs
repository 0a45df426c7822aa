//! Step 1: the child binds the address for itself, while its parent has it.
//!
//! An address belongs to one listening socket at a time, so the kernel refuses the second bind.

use std::env;
use std::error::Error;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::process::{self, Command, ExitCode};

fn main() -> Result<ExitCode, Box<dyn Error>> {
    match env::var("BIND") {
        Ok(address) => child(&address),
        Err(_) => parent(&env::args().nth(1).unwrap_or("127.0.0.1:48567".to_owned())),
    }
}

fn parent(address: &str) -> Result<ExitCode, Box<dyn Error>> {
    let listener = TcpListener::bind(address)?;
    let address = listener.local_addr()?.to_string();
    println!("parent: bound address={address}");
    let mut child = Command::new(env::current_exe()?).env("BIND", address).spawn()?;
    let end = child.wait()?;
    println!("parent: the child ended: {end}");
    Ok(ExitCode::FAILURE)
}

fn child(address: &str) -> Result<ExitCode, Box<dyn Error>> {
    serve(&TcpListener::bind(address)?)
}

/// Answers one client after the other.
fn serve(listener: &TcpListener) -> Result<ExitCode, Box<dyn Error>> {
    println!("child: listening address={}", listener.local_addr()?);
    for connection in listener.incoming() {
        let mut connection = connection?;
        // Up to the empty line: a connection that is closed with something unread is reset.
        let lines = BufReader::new(connection.try_clone()?).lines().map_while(Result::ok);
        lines.take_while(|line| !line.is_empty()).for_each(drop);
        let pid = process::id();
        write!(connection, "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhello from pid {pid}\n")?;
    }
    Ok(ExitCode::SUCCESS)
}
