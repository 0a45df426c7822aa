//! Step 3: the parent puts the listener at descriptor 3 of the child, and of no other program, and says so in a variable.
//!
//! The child believes the variable. It does not ask who set it, or what is at 3.

use std::env;
use std::error::Error;
use std::ffi::CString;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::os::fd::{AsRawFd as _, FromRawFd as _};
use std::process::{self, Command, ExitCode};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, posix_spawn};
use nix::sys::wait::waitpid;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    match env::var("LISTEN_FDS") {
        Ok(_) => child(),
        Err(_) => parent(&env::args().nth(1).unwrap_or("127.0.0.1:48567".to_owned())),
    }
}

fn parent(address: &str) -> Result<ExitCode, Box<dyn Error>> {
    let listener = TcpListener::bind(address)?;
    println!("parent: bound address={}", listener.local_addr()?);

    let mut actions = PosixSpawnFileActions::init()?;
    // In the child, before exec. A copy that dup2 makes has no CLOEXEC.
    actions.add_dup2(listener.as_raw_fd(), 3)?;
    let ours = env::vars().map(|(name, value)| format!("{name}={value}"));
    let environment = ours.chain(["LISTEN_FDS=1".to_owned()]).map(CString::new).collect::<Result<Vec<_>, _>>()?;
    let program = env::current_exe()?;
    let child = posix_spawn(&program, &actions, &PosixSpawnAttr::init()?, &[c"child"], &environment)?;
    let end = waitpid(child, None)?;
    println!("parent: the child ended: {end:?}");
    Ok(ExitCode::FAILURE)
}

fn child() -> Result<ExitCode, Box<dyn Error>> {
    // SAFETY: nothing else in this process uses descriptor 3. That it is a listener is what LISTEN_FDS says.
    let listener = unsafe { TcpListener::from_raw_fd(3) };
    // It is for this program, not for those that we start.
    fcntl(&listener, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    serve(&listener)
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
