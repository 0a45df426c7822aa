//! What the program cannot start with: one sentence on stderr, status 1, nothing left behind.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use nix::fcntl::{Flock, FlockArg};
use nix::unistd::getuid;
use testkit::{End, Program};

use crate::server::{Server, command};

/// The program refuses these options, in one line with these words. Returns the line.
#[track_caller]
fn assert_refused(options: &[&str], words: &[&str]) -> String {
    assert_refuses(&mut command(options), words)
}

#[track_caller]
fn assert_refuses(command: &mut Command, words: &[&str]) -> String {
    let mut program = Program::start(command);
    let end = program.wait();
    let said = program.wait_all();
    assert_eq!(end, End::Exited(1), "{command:?} should be refused with status 1: {said}");
    assert!(said.starts_with("error: ") && said.lines().count() == 1, "{command:?} should be one error line: {said:?}");
    for word in words {
        assert!(said.contains(word), "{command:?}: the sentence should contain {word:?}: {said:?}");
    }
    said
}

#[test]
fn an_address_that_is_none_is_refused() {
    for address in ["foo", "127.0.0.1", "127.0.0.1:", "127.0.0.1:http", "127.0.0.1:65536", ""] {
        assert_refused(&["--listen", address], &[&format!("cannot listen on {address:?}"), "HOST:PORT"]);
    }
    assert_refused(&["--listen", "no.such.host.invalid:80"], &["no.such.host.invalid"]);
}

#[test]
fn an_address_of_another_machine_is_refused() {
    // RFC 5737: this network is for documentation, and no machine has it.
    assert_refused(&["--listen", "192.0.2.1:0"], &["192.0.2.1:0", "check the address"]);
}

#[test]
fn an_unknown_option_is_refused() {
    assert_refused(&["--lissten", "127.0.0.1:0"], &["--lissten", "--help"]);
    assert_refused(&["127.0.0.1:0"], &["127.0.0.1:0", "--help"]);
}

#[test]
fn a_timeout_that_is_no_duration_is_refused() {
    for duration in ["5", "-1s", "soon", ""] {
        assert_refused(&[&format!("--drain-timeout={duration}")], &["--drain-timeout", "300ms, 1.5s or 2m"]);
    }
}

#[test]
fn a_log_level_that_is_none_is_refused() {
    let mut program = Program::start(command(&["--listen", "127.0.0.1:0"]).env("RUST_LOG", "info=what"));
    assert_eq!(program.wait(), End::Exited(1));
    let said = program.wait_all();
    assert!(said.starts_with("error: RUST_LOG=info=what") && said.lines().count() == 1, "{said:?}");
}

#[test]
fn without_the_threads_that_it_needs_it_is_refused() {
    // The limit counts all threads of a user, and does not bind root. So under root, the server runs as another user.
    let other = ["setpriv", "--reuid=54321", "--regid=54321", "--clear-groups"];
    let other = if getuid().is_root() { &other[..] } else { &["env"] };
    // Each server may have one more, and gets one step further, until one has enough.
    for limit in 1..10_000 {
        let (server, limit) = (command(&["--listen", "127.0.0.1:0"]), format!("--nproc={limit}"));
        let mut limited = Command::new(other[0]);
        limited.args(&other[1..]).args(["prlimit", &limit]).arg(server.get_program()).args(server.get_args());
        let mut program = Program::start(&mut limited);
        if program.try_line("listening").is_ok() {
            return;
        }
        assert_eq!(program.wait(), End::Exited(1), "{limit}: {}", program.output());
        let said = program.wait_all();
        let is_sentence = said.starts_with("error: ") && said.lines().count() == 1 && said.contains("ulimit -u");
        assert!(is_sentence, "{limit}: {said}");
    }
    panic!("it does not start with 9,999 threads either");
}

#[test]
fn without_the_descriptors_that_it_needs_it_is_refused() {
    // Each server may have one more, and gets one step further, until one has enough.
    for limit in 5..100 {
        let script = format!(r#"ulimit -n {limit}; exec "$0" --listen 127.0.0.1:0"#);
        let mut program = Program::start(Command::new("sh").args(["-c", &script]).arg(command(&[]).get_program()));
        if program.try_line("listening").is_ok() {
            return;
        }
        assert_eq!(program.wait(), End::Exited(1), "{limit}: {}", program.output());
        let said = program.wait_all();
        let is_sentence = said.starts_with("error: ") && said.lines().count() == 1 && said.contains("ulimit -n");
        assert!(is_sentence, "{limit}: {said}");
    }
    panic!("it does not start with 99 descriptors either");
}

#[test]
fn an_occupied_port_is_refused() {
    let occupied = TcpListener::bind("127.0.0.1:0").expect("any port will do");
    let address = occupied.local_addr().expect("it is bound").to_string();
    assert_refused(&["--listen", &address], &[&address, "it is taken"]);
}

#[test]
fn the_same_port_twice_is_refused() {
    // Free a moment ago, so only the first of the two can be in the way.
    let address = {
        let free = TcpListener::bind("127.0.0.1:0").expect("any port will do");
        free.local_addr().expect("it is bound").to_string()
    };
    assert_refused(&["--listen", &address, "--listen", &address], &[&address]);
}

#[test]
fn the_same_unix_socket_twice_is_refused_and_removed() {
    let directory = tempfile::tempdir().expect("there is room in /tmp");
    let listen = format!("unix:{}", directory.path().join("socket").display());
    assert_refused(&["--listen", &listen, "--listen", &listen], &[&listen]);
    assert_eq!(fs::read_dir(directory.path()).expect("it is there").count(), 0, "a socket file was left behind");
}

#[test]
fn a_unix_socket_that_is_served_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().expect("there is room in /tmp");
    let listen = format!("unix:{}", directory.path().join("socket").display());
    let other = Server::listening(&["--listen", &listen]);
    assert_refused(&["--listen", &listen], &[&listen, "it is taken"]);
    assert_eq!(other.connect().ask("/").status, 200, "the other server goes on");
}

/// To remove a stale one takes the right to do so, and a lock on its directory: two servers that start must not remove
/// each other's.
#[test]
fn a_unix_socket_that_was_left_behind_and_cannot_be_removed_is_refused_with_the_fix() {
    let directory = tempfile::tempdir().expect("there is room in /tmp");
    let path = directory.path().join("it's a socket");
    drop(UnixListener::bind(&path).expect("the place is free"));
    let options = ["--listen", &format!("unix:{}", path.display())];
    let lock = fs::File::open(directory.path()).expect("it is ours");
    let _lock = Flock::lock(lock, FlockArg::LockExclusive).expect("a file can be locked");
    let said = assert_refused(&options, &["a process that is gone", "cannot be removed: ", "remove it: rm "]);
    assert!(path.exists(), "another process may be about to take it");

    let fix = said.split_once("remove it: ").expect("it says how").1;
    let rm = Command::new("sh").args(["-c", fix]).status().expect("there is a shell");
    assert!(rm.success() && !path.exists(), "the advice does not work: {fix}");
    // As `flock DIRECTORY graceful-shutdown` has it: for as long as the server runs.
    let mut server = Server::listening(&options);
    server.drain();
    server.assert_ends_well();
}

#[test]
fn a_directory_where_we_may_not_write_is_refused() {
    let directory = tempfile::tempdir().expect("there is room in /tmp");
    let stale = directory.path().join("stale");
    drop(UnixListener::bind(&stale).expect("the place is free"));
    fs::set_permissions(&stale, fs::Permissions::from_mode(0o777)).expect("our own file");
    // Where another user finds it. Not written from here: a child of another test could hold it open for writing, and then it
    // cannot be executed.
    let server = directory.path().join("server");
    let installed = Command::new("install").arg("-m755").arg(command(&[]).get_program()).arg(&server).status();
    assert!(installed.expect("coreutils are there").success());
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o555)).expect("our own directory");
    for (path, words) in [(directory.path().join("new"), "Permission denied"), (stale, "cannot be removed: Permission")]
    {
        let mut command = Command::new(&server);
        command.args(["--listen", &format!("unix:{}", path.display())]).env_remove("RUST_LOG");
        if nix::unistd::geteuid().is_root() {
            // Root may write everywhere, and this user nowhere.
            command.uid(65_534);
        }
        assert_refuses(&mut command, &[&format!("unix:{}", path.display()), words]);
    }
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).expect("our own directory");
}

#[test]
fn a_program_that_may_not_open_another_descriptor_is_refused_with_the_limit() {
    let many = ["--listen", "127.0.0.1:0"].repeat(100);
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -n 64; exec \"$0\" \"$@\""]).arg(command(&[]).get_program());
    assert_refuses(shell.args(many), &["Too many open files", "ulimit -n"]);
}

#[test]
fn a_file_that_is_no_socket_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().expect("there is room in /tmp");
    let path = directory.path().join("file");
    fs::write(&path, "precious").expect("there is room in /tmp");
    assert_refused(&["--listen", &format!("unix:{}", path.display())], &["not a socket"]);
    assert_eq!(fs::read_to_string(&path).expect("it is there"), "precious");
    assert_refused(&["--listen", &format!("unix:{}", directory.path().display())], &["not a socket"]);
    // Nor is a link to one, and what it leads to may be wanted for something.
    let (link, socket) = (directory.path().join("link"), directory.path().join("socket"));
    drop(UnixListener::bind(&socket).expect("the place is free"));
    std::os::unix::fs::symlink(&socket, &link).expect("the place is free");
    assert_refused(&["--listen", &format!("unix:{}", link.display())], &["not a socket"]);
    assert!(link.exists() && socket.exists());
}

#[test]
fn a_path_that_is_too_long_or_empty_is_refused() {
    assert_refused(&["--listen", &format!("unix:/tmp/{}", "x".repeat(103))], &["1 to 107 bytes"]);
    assert_refused(&["--listen", "unix:"], &["1 to 107 bytes"]);
    // Short as it is written, and too long as an absolute path.
    let directory = tempfile::Builder::new().prefix(&"x".repeat(90)).tempdir().expect("there is room in /tmp");
    let mut command = command(&["--listen", "unix:s-o-c-k-e-t"]);
    assert_refuses(command.current_dir(directory.path()), &["/s-o-c-k-e-t", "1 to 107 bytes"]);
}

#[test]
fn a_directory_that_does_not_exist_is_refused() {
    assert_refused(
        &["--listen", "unix:/nonexistent/socket"],
        &["unix:/nonexistent/socket", "No such file or directory"],
    );
}

#[test]
fn a_relative_path_without_a_working_directory_is_refused() {
    let directory = tempfile::tempdir().expect("there is room in /tmp");
    let mut shell = Command::new("sh");
    shell.args(["-c", "rmdir \"$PWD\"; exec \"$0\" --listen unix:../s"]).arg(command(&[]).get_program());
    assert_refuses(shell.current_dir(directory.path()), &["unix:../s", "the working directory", "an absolute path"]);
}

#[test]
fn what_was_bound_before_the_refusal_is_removed() {
    let directory = tempfile::tempdir().expect("there is room in /tmp");
    let first = format!("unix:{}", directory.path().join("first").display());
    let occupied = TcpListener::bind("127.0.0.1:0").expect("any port will do");
    let second = occupied.local_addr().expect("it is bound").to_string();
    assert_refused(&["--listen", &first, "--listen", &second], &[&second]);
    assert_eq!(fs::read_dir(directory.path()).expect("it is there").count(), 0, "a socket file was left behind");
}
