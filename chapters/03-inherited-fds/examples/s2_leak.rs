//! Step 2: the parent leaves the listener open for whatever it starts, and the child takes descriptor 3.
//!
//! It works as long as the listener is the first thing that the parent opens. But every other program that is started
//! gets the listener, too: here a helper that knows nothing of it, and still holds the port when the server has ended.

use std::env;
use std::error::Error;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::os::fd::FromRawFd as _;
use std::process::{self, Command, ExitCode};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};

fn main() -> Result<ExitCode, Box<dyn Error>> {
    match env::var("CHILD") {
        Ok(_) => child(),
        Err(_) => parent(&env::args().nth(1).unwrap_or("127.0.0.1:48567".to_owned())),
    }
}

fn parent(address: &str) -> Result<ExitCode, Box<dyn Error>> {
    let listener = TcpListener::bind(address)?;
    fcntl(&listener, FcntlArg::F_SETFD(FdFlag::empty()))?;
    println!("parent: bound address={}", listener.local_addr()?);
    let mut child = Command::new(env::current_exe()?).env("CHILD", "yes").spawn()?;
    let end = child.wait()?;
    println!("parent: the child ended: {end}");
    Ok(ExitCode::FAILURE)
}

fn child() -> Result<ExitCode, Box<dyn Error>> {
    // SAFETY: nothing else in this process uses descriptor 3. Whether it is a listener, we can only hope.
    serve(&unsafe { TcpListener::from_raw_fd(3) })
}

/// Answers one client after the other.
fn serve(listener: &TcpListener) -> Result<ExitCode, Box<dyn Error>> {
    let helper = Command::new("sleep").arg("60").spawn()?;
    println!("child: listening address={} helper={}", listener.local_addr()?, helper.id());
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
