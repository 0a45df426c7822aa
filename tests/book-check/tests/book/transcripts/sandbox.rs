//! A machine of its own for each script, as far as it can tell.
//!
//! The invariant: nothing that a script does is seen outside, and nothing it started outlives it. It has a loopback
//! device whose ports are all free, process ids that start at [`FIRST_PID`], an empty `/tmp`, the repository, which it
//! cannot write to, and in it `target`, which it can.

use std::ops::RangeInclusive;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use std::{env, fs};

use nix::libc;
use nix::unistd::Uid;
use tempfile::TempDir;
use testkit::{Program, require, require_program};

use super::terminal::{PROMPT, Terminal};
use crate::golden::root;

/// How long it may take to make one.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Process ids start here: four digits, as many as a page shows, and none that a script has another use for.
pub(crate) const FIRST_PID: u32 = 6001;

/// The kernel chooses ports from here: 48567, the server's, is not among them.
pub(crate) const EPHEMERAL_PORTS: RangeInclusive<u32> = 50_000..=59_999;

/// Runs as process 1: `$1` is the repository, `$2` where its builds are, `$3` an empty folder, the rest terminals.
const INIT: &str = r#"
    root=$1 target=$2 empty=$3; shift 3
    # No program should find what our caller left open.
    for fd in /proc/self/fd/*; do ((${fd##*/} < 3)) || eval "exec ${fd##*/}>&-"; done
    ip link set lo up
    echo "$PORTS" >/proc/sys/net/ipv4/ip_local_port_range

    # In this order: a folder below another is mounted before that one is turned read-only, or hidden.
    mount --rbind "$target" "$root/target"
    mount --rbind "$root" "$root"
    mount -o remount,bind,ro "$root"
    for kept in "$root" "$target" "$HOME"; do
        case $kept in /tmp/*) mkdir -p "$empty${kept#/tmp}"; mount --rbind "$kept" "$empty${kept#/tmp}";; esac
    done
    mount --rbind "$empty" /tmp
    cd "$root"

    echo "$BEFORE_FIRST_PID" >/proc/sys/kernel/ns_last_pid
    for terminal; do
        # Output as it was written; no echo (see terminal.rs); a Ctrl-C throws nothing away; as wide as a page.
        stty -F "$terminal" -opost -echo noflsh cols 100 rows 50
        # A shell ignores Ctrl-C on behalf of what it starts in the background, and takes our prompt for its own.
        setsid --ctty env --default-signal PS1="$PROMPT" \
            bash --norc --noprofile --noediting +o history -i <>"$terminal" >&0 2>&1 &
    done
    echo ready
    # Ignoring SIGCHLD reaps every orphan.
    exec env --ignore-signal=CHLD sleep infinity
"#;

/// The machine. Dropping it ends everything in it.
pub(crate) struct Sandbox {
    /// Dropped first: process 1 ends with it, and all other processes with process 1.
    _init: Program,
    _empty: TempDir,
    pub(crate) terminals: Vec<Terminal>,
}

impl Sandbox {
    /// Makes one with this many terminals.
    pub(crate) fn new(terminals: usize) -> Result<Sandbox, String> {
        let opened: Vec<_> = (0..terminals).map(|_| Terminal::open()).collect::<Result<_, _>>().map_err(words)?;
        // Our copies of the shells' side are open until the shells have theirs.
        let (terminals, shells): (Vec<_>, Vec<_>) = opened.into_iter().unzip();
        let empty = tempfile::tempdir().map_err(words)?;
        let target = target();
        let root = root().canonicalize().map_err(words)?;
        // The place to mount it at.
        fs::create_dir_all(root.join("target")).map_err(words)?;

        let mut command = unshare();
        command.args(["bash", "-euc", INIT, "init"]).args([&root, target, empty.path()]);
        command.args(terminals.iter().map(Terminal::device));
        environment(&mut command);
        heed_all_signals(&mut command);
        let mut init = Program::try_start(&mut command).map_err(words)?;
        init.try_line("ready").map_err(words)?;
        for terminal in &terminals {
            terminal.await_prompt(TIMEOUT)?;
        }
        drop(shells);
        Ok(Sandbox { _init: init, _empty: empty, terminals })
    }
}

/// Whether this machine allows it, or says aloud why not.
pub(crate) fn allowed() -> bool {
    let programs = [("unshare", "util-linux"), ("mount", "mount"), ("ip", "iproute2")];
    programs.into_iter().all(|(program, package)| require_program(program, package).is_some())
        && require(
            unshare().arg("true").output().is_ok_and(|output| output.status.success()),
            "transcripts need namespaces: run this as root, or allow unprivileged user namespaces",
        )
}

/// Where Cargo builds.
pub(crate) fn target() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it is a folder in it")
}

fn unshare() -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]);
    // Root stays root: tcpdump, for one, needs more rights than a user namespace grants.
    if !Uid::effective().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command
}

/// What Cargo and rustup need, and nothing else that could change what a program prints.
fn environment(command: &mut Command) {
    let kept = |name: &str| {
        ["PATH", "HOME", "CARGO_HOME", "CARGO_INCREMENTAL", "RUSTFLAGS"].contains(&name)
            || ["RUSTUP_", "CARGO_BUILD_", "CARGO_PROFILE_"].iter().any(|prefix| name.starts_with(prefix))
    };
    command.env_clear().envs(env::vars().filter(|(name, _)| kept(name)));
    // As if it was not set: a reader does not see what testkit asks for otherwise.
    command.env("PROMPT", PROMPT.to_string()).env("RUST_LOG", "info");
    command.envs([("TERM", "dumb"), ("LANG", "C.UTF-8"), ("NO_COLOR", "1")]);
    command.envs([("CARGO_TERM_COLOR", "never"), ("CARGO_TERM_PROGRESS_WHEN", "never")]);
    command.env("PORTS", format!("{} {}", EPHEMERAL_PORTS.start(), EPHEMERAL_PORTS.end()));
    command.env("BEFORE_FIRST_PID", (FIRST_PID - 1).to_string());
}

/// glibc's `posix_spawn`, with which Cargo started us, makes a program ignore the signals 32 and 33, which glibc keeps
/// for itself, and does not let us undo it. Ignored stays ignored, and a script that looks at `SigIgn` would find them.
fn heed_all_signals(command: &mut Command) {
    let heed = || {
        for signal in [32, 33] {
            // A handler of 0, SIG_DFL, no flags, an empty mask: the kernel's own structure, as rt_sigaction(2) has it.
            let default = [0_u64; 4];
            // SAFETY: the kernel reads 32 bytes at most from it, and the default action needs no handler to exist.
            unsafe {
                libc::syscall(libc::SYS_rt_sigaction, signal, &raw const default, std::ptr::null_mut::<u64>(), 8)
            };
        }
        Ok(())
    };
    // SAFETY: between fork and exec it makes two system calls, and nothing else.
    unsafe { command.pre_exec(heed) };
}

fn words(error: impl std::fmt::Display) -> String {
    format!("no sandbox: {error}")
}
