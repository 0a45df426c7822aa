//! What the tests of this chapter share: starting its programs, and asking them.
//!
//! The invariant: a process under test gets exactly the descriptors and variables that its test names.
#![allow(dead_code, unreachable_pub, reason = "each test file is a crate of its own and uses a part of this")]

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

/// The chapter's program.
pub const SERVER: &str = env!("CARGO_BIN_EXE_inherited-fds");

/// The program, told to listen on each of `addresses`.
pub fn server(addresses: &[&str]) -> Command {
    let mut command = Command::new(SERVER);
    for address in addresses {
        command.args(["--listen", address]);
    }
    for variable in ["LISTEN", "DRAIN_TIMEOUT", "RUST_LOG", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"] {
        command.env_remove(variable);
    }
    command
}

/// The example that says what it inherited.
pub fn show() -> PathBuf {
    testkit::example(SERVER, "show")
}

/// A shell that runs `setup` and then becomes `command`, with `descriptors` from 3 on.
///
/// The shell keeps its pid across exec, so `LISTEN_PID=$$` in `setup` is the pid of the command.
pub fn with(setup: &str, descriptors: Vec<OwnedFd>, command: &Command) -> Command {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(format!("{setup}\nexec \"$0\" \"$@\"")).arg(command.get_program()).args(command.get_args());
    for variable in ["LISTEN", "DRAIN_TIMEOUT", "RUST_LOG", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"] {
        shell.env_remove(variable);
    }
    let above = |fd: OwnedFd| {
        let copy = fcntl(&fd, FcntlArg::F_DUPFD_CLOEXEC(100)).expect("there is room for a few descriptors");
        // SAFETY: F_DUPFD_CLOEXEC returned a new descriptor, and no other code knows its number (fcntl(2)).
        unsafe { OwnedFd::from_raw_fd(copy) }
    };
    let copies: Vec<_> = descriptors.into_iter().map(above).collect();
    // SAFETY: between fork and exec, the hook calls dup2(2) only, which is async-signal-safe.
    unsafe {
        shell.pre_exec(move || {
            for (copy, target) in copies.iter().zip(3..) {
                if libc::dup2(copy.as_raw_fd(), target) == -1 {
                    return Err(std::io::Error::last_os_error());
                }
            }
            Ok(())
        });
    }
    shell
}

/// Asks the server at `address` (as its log names it) for `path`, and returns the whole answer.
pub fn get(address: &str, path: &str) -> String {
    match address.strip_prefix("unix:") {
        Some(socket) => ask(UnixStream::connect(socket).expect("a server listens there"), path),
        None => ask(TcpStream::connect(address).expect("a server listens there"), path),
    }
}

fn ask(mut connection: impl Read + Write, path: &str) -> String {
    write!(connection, "GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").expect("the request is taken");
    let mut answer = String::new();
    connection.read_to_string(&mut answer).expect("the answer is whole");
    assert!(answer.starts_with("HTTP/1.1 200"), "GET {path} was answered by:\n{answer}");
    answer
}

/// Asks the server at `address` for an answer of two lines, and returns its lines once the first is there.
pub fn ask_for_stream(address: &str) -> impl Iterator<Item = String> + use<> {
    let mut client = TcpStream::connect(address).expect("the server accepts");
    write!(client, "GET /stream?chunks=2&interval=300ms HTTP/1.1\r\nhost: test\r\n\r\n").expect("the request is taken");
    let mut lines = BufReader::new(client).lines().map_while(Result::ok);
    assert!(lines.any(|line| line == "line 1 of 2"), "the answer has begun");
    lines
}

/// The pid that an answer names in its `x-pid` header.
pub fn pid_of(answer: &str) -> i32 {
    let header = answer.lines().find_map(|line| line.strip_prefix("x-pid: "));
    header.and_then(|pid| pid.trim().parse().ok()).unwrap_or_else(|| panic!("no x-pid in:\n{answer}"))
}
