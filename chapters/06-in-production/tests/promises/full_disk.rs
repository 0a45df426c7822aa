//! No room on the disk of the pid file and the control socket: a sentence, and a service that serves on.

use std::fs;
use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, kill};
use testkit::{Deployment, Generations, Lack, await_exit, hold, let_go, small_disk, thaw};

use crate::bad_input::assert_refused;
use crate::server::{BINARY, deployment, freeze_in_an_upgrade, without_options};

/// A start of the second argument on the full disk at the first one, and a look at what it has left there.
const START: &str = r#"cd "$1"; shift
cat /dev/zero >filler 2>/dev/null
[ $LACK = Blocks ] || while true >filler$((number += 1)); do true; done 2>/dev/null
before=$(ls -A); "$@"; status=$?
[ "$(ls -A)" = "$before" ] || ls -A
exit $status"#;

#[test]
fn a_start_is_refused_in_a_sentence_and_leaves_nothing_there() {
    let deployment = deployment();
    // The file of a socket takes no block.
    for (lack, option) in [(Lack::Blocks, "--pid-file"), (Lack::Inodes, "--pid-file"), (Lack::Inodes, "--control")] {
        let Some(command) = small_disk(deployment.path()) else { return };
        let mut command = without_options(command);
        command.env("LACK", format!("{lack:?}")).args(["sh", "-c", START, "sh"]).arg(deployment.path());
        command.args([BINARY, "--listen", "127.0.0.1:0", option]).arg(deployment.path().join("file"));
        assert_refused(&mut command, &["/file", "No space left on device"]);
    }
}

/// A server with its pid file and control socket on a small disk.
struct Service {
    deployment: Deployment,
    server: Generations,
    /// The disk, as the server sees it.
    disk: PathBuf,
}

impl Service {
    fn start() -> Option<Service> {
        let deployment = deployment();
        let disk = deployment.path().join("disk");
        fs::create_dir(&disk).expect("our own directory");
        let mut command = without_options(small_disk(&disk)?);
        command.arg(deployment.server()).args(["--listen", "127.0.0.1:0", "--drain-timeout", "1h"]);
        command.arg("--pid-file").arg(disk.join("pid")).arg("--control").arg(disk.join("control"));
        let server = Generations::start(&mut command, 2);
        Some(Service { deployment, server, disk })
    }

    fn disk(&self) -> PathBuf {
        Path::new(&format!("/proc/{}/root", self.server.serving)).join(self.disk.strip_prefix("/").expect("absolute"))
    }

    /// Asserts that the pid file names the process that serves, and that nothing but fillers is beside it and the socket.
    #[track_caller]
    fn assert_whole(&self) {
        let pid = fs::read_to_string(self.disk().join("pid"));
        assert_eq!(pid.ok(), Some(format!("{}\n", self.server.serving)), "{}", self.server.program.output());
        let files = fs::read_dir(self.disk()).expect("the server has it").map(|file| file.expect("it is there"));
        let mut files: Vec<_> = files.map(|file| file.file_name().to_string_lossy().into_owned()).collect();
        files.retain(|name| !name.starts_with("filler-"));
        files.sort();
        assert_eq!(files, ["control", "pid"]);
        self.server.assert_answered_by(self.server.generation);
    }
}

#[test]
fn an_upgrade_fails_in_a_sentence_and_the_old_process_serves_on() {
    for lack in Lack::ALL {
        let Some(mut service) = Service::start() else { return };
        lack.fill(&service.disk());
        service.server.upgrade_in_vain();
        let line = service.server.program.line("cannot write the pid file");
        assert!(line.contains("No space left on device"), "{line}");
        service.assert_whole();
        Lack::relieve(&service.disk());
        await_exit(service.server.upgrade());
        service.assert_whole();
    }
}

#[test]
fn a_disk_that_fills_up_while_a_successor_waits_for_its_turn_has_room_for_its_pid() {
    for lack in Lack::ALL {
        let Some(mut service) = Service::start() else { return };
        let old = service.server.serving;
        freeze_in_an_upgrade(&mut service.server, &service.deployment);
        lack.fill(&service.disk());
        thaw(old);
        service.server.next_generation(2);
        await_exit(old);
        service.assert_whole();
    }
}

#[test]
fn a_process_that_comes_back_has_room_for_its_pid() {
    for lack in Lack::ALL {
        let Some(mut service) = Service::start() else { return };
        let first = service.server.serving;
        let held = hold(service.server.address());
        service.server.upgrade();
        lack.fill(&service.disk());
        kill(service.server.serving, Signal::SIGKILL).expect("it serves");
        (service.server.serving, service.server.generation) = (first, 0);
        service.server.next_generation(2);
        service.assert_whole();
        let_go(held);
    }
}
