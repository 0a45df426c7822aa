//! The successor is the program that is on disk now, where the first one was started from, with its arguments.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::process::Command;

use nix::unistd::Pid;
use testkit::{Deployment, Generations, await_exit};

use crate::server::{BINARY, deployment};

const ARGUMENTS: [&str; 4] = ["--listen", "127.0.0.1:0", "--drain-timeout", "4s"];

/// Which file a process runs.
fn inode_of(pid: Pid) -> u64 {
    fs::metadata(format!("/proc/{pid}/exe")).expect("the process is there").ino()
}

fn arguments_of(pid: Pid) -> Vec<String> {
    let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).expect("the process is there");
    line.trim_end_matches('\0').split('\0').skip(1).map(str::to_owned).collect()
}

/// Upgrades twice: the second time the successor's own notion of its path counts.
#[track_caller]
fn assert_upgrades_to(server: &mut Generations, inode: u64) {
    for _ in 0..2 {
        await_exit(server.upgrade());
        assert_eq!(inode_of(server.serving), inode, "{}", server.program.output());
        assert_eq!(arguments_of(server.serving), ARGUMENTS);
    }
    server.assert_answered_by(3);
}

/// A copy of the program: another file, so another version as far as can be seen.
fn put_new_version(deployment: &Deployment, name: &str) -> u64 {
    let (new, path) = (deployment.path().join("copy"), deployment.path().join(name));
    // Not written from here: see `Deployment::put_script`.
    assert!(Command::new("cp").arg(BINARY).arg(&new).status().expect("coreutils are there").success());
    fs::rename(&new, &path).expect("both are in our directory");
    path.metadata().expect("it is there now").ino()
}

#[test]
fn a_replaced_program() {
    let deployment = deployment();
    let mut server = Generations::start(Command::new(deployment.server()).args(ARGUMENTS), 1);
    let inode = put_new_version(&deployment, "server");
    assert_upgrades_to(&mut server, inode);
}

#[test]
fn a_program_that_was_deleted_and_put_there_again() {
    let deployment = deployment();
    let mut server = Generations::start(Command::new(deployment.server()).args(ARGUMENTS), 1);
    fs::remove_file(deployment.server()).unwrap();
    server.upgrade_in_vain();
    let inode = put_new_version(&deployment, "server");
    assert_upgrades_to(&mut server, inode);
}

#[test]
fn a_symbolic_link_that_was_switched() {
    let deployment = deployment();
    let link = deployment.path().join("current");
    symlink("server", &link).unwrap();
    let mut server = Generations::start(Command::new(&link).args(ARGUMENTS), 1);
    let inode = put_new_version(&deployment, "server-2");
    symlink("server-2", deployment.path().join("next")).unwrap();
    fs::rename(deployment.path().join("next"), &link).unwrap();
    assert_upgrades_to(&mut server, inode);
}

#[test]
fn a_relative_name() {
    let deployment = deployment();
    let mut command = Command::new("./server");
    let mut server = Generations::start(command.args(ARGUMENTS).current_dir(deployment.path()), 1);
    let inode = put_new_version(&deployment, "server");
    assert_upgrades_to(&mut server, inode);
}

#[test]
fn a_name_found_on_path() {
    let deployment = deployment();
    let mut command = Command::new("sh");
    // The shell searches PATH and passes the bare name on.
    command.args(["-c", "exec server \"$@\"", "sh"]).args(ARGUMENTS);
    let path =
        std::env::join_paths(["/nowhere".into(), deployment.path().to_owned(), "/usr/bin".into(), "/bin".into()]);
    let mut server = Generations::start(command.env("PATH", path.unwrap()), 1);
    let inode = put_new_version(&deployment, "server");
    assert_upgrades_to(&mut server, inode);
}

#[test]
fn a_name_that_is_a_lie() {
    let deployment = deployment();
    let mut command = Command::new("bash");
    let exec = format!("exec -a /bin/true {} \"$@\"", deployment.server().display());
    let mut server = Generations::start(command.args(["-c", &exec, "bash"]).args(ARGUMENTS), 1);
    let inode = put_new_version(&deployment, "server");
    assert_upgrades_to(&mut server, inode);
}

#[test]
fn a_working_directory_that_was_replaced() {
    let deployment = deployment();
    let release = deployment.path().join("release");
    fs::create_dir(&release).unwrap();
    fs::hard_link(BINARY, release.join("server")).unwrap();
    let mut server = Generations::start(Command::new("./server").args(ARGUMENTS).current_dir(&release), 1);
    fs::rename(&release, deployment.path().join("previous")).unwrap();
    fs::create_dir(&release).unwrap();
    let inode = put_new_version(&deployment, "release/server");
    assert_upgrades_to(&mut server, inode);
}

#[test]
fn a_working_directory_that_was_deleted() {
    let deployment = deployment();
    let gone = deployment.path().join("gone");
    fs::create_dir(&gone).unwrap();
    let mut command = Command::new("../server");
    let mut server = Generations::start(command.args(ARGUMENTS).current_dir(&gone), 1);
    fs::remove_dir(&gone).unwrap();
    let inode = put_new_version(&deployment, "server");
    assert_upgrades_to(&mut server, inode);
}
