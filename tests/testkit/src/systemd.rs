//! A real systemd, as process 1 of namespaces of its own.
//!
//! The invariant: it knows the units that it was given and no others, and with a [`Systemd`] ends all that it has started. The
//! thread that starts one is in its network until then: that is where its services listen.
//!
//! Where the environment variable `TESTKIT_SYSTEMD` names a folder into which Debian packages of another version were unpacked
//! (`dpkg -x` for `systemd` and `libsystemd-shared`), that version runs.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use nix::sched::{CloneFlags, setns};
use nix::sys::signal::Signal;
use nix::unistd::{Pid, Uid};
use tempfile::TempDir;

use crate::{Program, children, require, try_await_exit, wait_until};

/// Becomes systemd.
const INIT: &str = include_str!("systemd.sh");

/// Removes the cgroups that are left of one that has ended.
const CLEAN: &str = r#"mount -t cgroup2 cgroup2 /sys/fs/cgroup
find "/sys/fs/cgroup$(sed -n 's/^0:://p' /proc/self/cgroup)/$CGROUP" -depth -type d -exec rmdir {} +"#;

/// A running systemd.
#[derive(Debug)]
pub struct Systemd {
    /// Its log is that of the services: they have `StandardError=file:/run/log`.
    pub program: Program,
    /// Process 1, by its pid out here.
    init: Pid,
    /// The network in which the thread was before.
    home: File,
    /// What it began with; the name stands for its cgroup, too.
    folder: TempDir,
}

impl Systemd {
    /// Starts one with unit files and drop-ins, by path, and with these programs in `/usr/local/bin`. `None` where that cannot be
    /// (see [`require`]).
    ///
    /// # Panics
    /// If it does not come up.
    #[must_use]
    pub fn start(units: &[(&str, &str)], programs: &[&str]) -> Option<Systemd> {
        let may =
            ["--mount", "--pid", "--net", "--cgroup", "--fork", "mount", "-t", "cgroup2", "cgroup2", "/sys/fs/cgroup"];
        let may = || Command::new("unshare").args(may).output().is_ok_and(|output| output.status.success());
        let here = Uid::effective().is_root() && Path::new("/usr/lib/systemd/systemd").exists() && may();
        let missing = "this test needs systemd, and root that may mount: `apt-get install systemd`, and in a container --privileged";
        if !require(here, missing) {
            return None;
        }
        let folder = tempfile::tempdir().expect("there is room in /tmp");
        let (unit_files, binaries) = (folder.path().join("units"), folder.path().join("programs"));
        fs::create_dir(&binaries).expect("it is our folder");
        for (path, text) in units {
            let path = unit_files.join(path);
            fs::create_dir_all(path.parent().expect("it has one")).expect("it is our folder");
            fs::write(path, text).expect("it is our folder");
        }
        for program in programs {
            let name = Path::new(program).file_name().expect("a program has a name");
            std::os::unix::fs::symlink(program, binaries.join(name)).expect("it is our folder");
        }
        let mut command = Command::new("unshare");
        command.args(["--mount", "--pid", "--ipc", "--uts", "--net", "--fork", "--mount-proc", "--kill-child"]);
        command
            .args(["sh", "-c", INIT])
            .env("UNITS", unit_files)
            .env("PROGRAMS", binaries)
            .env("CGROUP", name(&folder));
        // Or it would tell the machine's own systemd that it is up.
        let program = Program::start(command.env_remove("NOTIFY_SOCKET"));
        let init = || {
            assert!(program.is_running(), "no systemd came up:\n{}", program.output());
            let init = children(program.pid()).first().copied()?;
            // Before that, the machine's own might answer.
            let is_systemd = fs::read(format!("/proc/{init}/comm")).is_ok_and(|name| name == b"systemd\n");
            let listens = Path::new(&format!("/proc/{init}/root/run/systemd/private")).exists();
            (is_systemd && listens).then_some(init)
        };
        wait_until("systemd listens", || init().is_some());
        let init = init().expect("it did, a moment ago");
        let state = run(init, &["systemctl", "is-system-running", "--wait"]);
        assert!(state.stdout.starts_with(b"running"), "systemd did not come up: {state:?}");
        let home = File::open("/proc/thread-self/ns/net").expect("this thread is in a network");
        let network = File::open(format!("/proc/{init}/ns/net")).expect("systemd is in a network");
        setns(network, CloneFlags::CLONE_NEWNET).expect("root may enter it");
        Some(Systemd { program, init, home, folder })
    }

    /// Which version it is.
    ///
    /// # Panics
    /// If it does not say.
    #[must_use]
    pub fn version(&self) -> u32 {
        let output = self.ctl(&["--version"]);
        let text = String::from_utf8_lossy(&output.stdout);
        let version = text.split_whitespace().nth(1).and_then(|version| version.parse().ok());
        version.unwrap_or_else(|| panic!("this is no version: {output:?}"))
    }

    /// Runs a command inside, to its end.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn run(&self, words: &[&str]) -> Output {
        run(self.init, words)
    }

    /// Runs `systemctl` to its end.
    #[must_use]
    pub fn ctl(&self, words: &[&str]) -> Output {
        run(self.init, &[&["systemctl"], words].concat())
    }

    /// A property of a unit.
    #[must_use]
    pub fn show(&self, unit: &str, property: &str) -> String {
        let output = self.ctl(&["show", "--value", "-p", property, unit]);
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// Where a path of its file system is found out here.
    #[must_use]
    pub fn path(&self, inside: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{inside}", self.init))
    }

    /// Replaces a program in `/usr/local/bin`, atomically, as a deployment should.
    ///
    /// # Panics
    /// If it cannot.
    pub fn put(&self, name: &str, program: &Path) {
        let (new, old) = (self.path(&format!("/usr/local/bin/.{name}")), self.path(&format!("/usr/local/bin/{name}")));
        // Not written from here: see `Deployment::put_script`.
        let installed = Command::new("install").arg("-m755").args([program, &new]).status();
        assert!(installed.expect("coreutils are there").success());
        fs::rename(new, old).expect("both are in one folder");
    }
}

impl Drop for Systemd {
    fn drop(&mut self) {
        let _ = setns(&self.home, CloneFlags::CLONE_NEWNET);
        // Process 1 ends with its parent (`--kill-child`), and all others with process 1.
        self.program.signal(Signal::SIGKILL);
        if try_await_exit(self.init).is_ok() {
            let _ =
                Command::new("unshare").args(["--mount", "sh", "-c", CLEAN]).env("CGROUP", name(&self.folder)).output();
        }
    }
}

fn name(folder: &TempDir) -> OsString {
    [OsStr::new("testkit"), folder.path().file_name().unwrap_or_default()].join(OsStr::new(""))
}

/// Runs a command inside, to its end.
fn run(init: Pid, words: &[&str]) -> Output {
    let mut command = Command::new("nsenter");
    command
        .arg("--target")
        .arg(init.to_string())
        .args(["--mount", "--pid", "--ipc", "--uts", "--cgroup", "--net", "--"]);
    command.args(words).output().expect("util-linux is there")
}
