//! Step 4: each descriptor has a name, a channel shows that they come from our parent, and the child looks before it uses one.

use std::env;
use std::error::Error;
use std::ffi::CString;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::os::fd::{AsFd as _, FromRawFd as _, OwnedFd};
use std::process::{self, Command, ExitCode};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, posix_spawn};
use nix::sys::socket::sockopt::{AcceptConn, PeerCredentials};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, getsockopt, socketpair};
use nix::sys::wait::waitpid;
use nix::unistd::getppid;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    match env::var("LISTEN_FDNAMES") {
        Ok(names) => child(&names),
        Err(_) => parent(&env::args().nth(1).unwrap_or("127.0.0.1:48567".to_owned())),
    }
}

fn parent(address: &str) -> Result<ExitCode, Box<dyn Error>> {
    let listener = TcpListener::bind(address)?;
    println!("parent: bound address={}", listener.local_addr()?);
    let (_ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?;

    let mut actions = PosixSpawnFileActions::init()?;
    for (fd, number) in [theirs.as_fd(), listener.as_fd()].into_iter().zip(3..) {
        // A copy beyond 3 and 4: what is put there must not overwrite what is still needed.
        let copy = fcntl(fd, FcntlArg::F_DUPFD_CLOEXEC(5))?;
        // In the child, before exec. A copy that dup2 makes has no CLOEXEC.
        actions.add_dup2(copy, number)?;
    }
    let ours = env::vars().map(|(name, value)| format!("{name}={value}"));
    let added = ["LISTEN_FDS=2", "LISTEN_FDNAMES=parent:web"].map(str::to_owned);
    let environment = ours.chain(added).map(CString::new).collect::<Result<Vec<_>, _>>()?;
    let program = env::current_exe()?;
    let child = posix_spawn(&program, &actions, &PosixSpawnAttr::init()?, &[c"child"], &environment)?;
    let end = waitpid(child, None)?;
    println!("parent: the child ended: {end:?}");
    Ok(ExitCode::FAILURE)
}

fn child(names: &str) -> Result<ExitCode, Box<dyn Error>> {
    let take = |wanted| -> Result<OwnedFd, Box<dyn Error>> {
        let found = names.split(':').zip(3..).find(|(name, _)| *name == wanted);
        let (_, number) = found.ok_or(format!("no descriptor is called {wanted}"))?;
        // SAFETY: nothing else in this process uses it: each name is taken once, and nothing was opened before.
        let fd = unsafe { OwnedFd::from_raw_fd(number) };
        // It is for this program, not for those that we start.
        fcntl(&fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
        Ok(fd)
    };
    // The kernel noted which process made the channel.
    let maker = getsockopt(&take("parent")?, PeerCredentials).map_or(0, |maker| maker.pid());
    if maker != getppid().as_raw() {
        return Err("the descriptor called parent is no channel that our parent made".into());
    }
    let web = take("web")?;
    if !getsockopt(&web, AcceptConn).unwrap_or(false) {
        return Err("the descriptor called web does not listen".into());
    }
    serve(&TcpListener::from(web))
}

/// Answers one client after the other.
fn serve(listener: &TcpListener) -> Result<ExitCode, Box<dyn Error>> {
    // SAFETY: there is one thread. What stays in the environment would be passed to the helper.
    ["LISTEN_FDS", "LISTEN_FDNAMES"].iter().for_each(|variable| unsafe { env::remove_var(variable) });
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
