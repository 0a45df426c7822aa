//! A container, as far as process ids go.
//!
//! The invariant: when process 1 ends, or the command that made it, every other process in it ends as well.

use std::process::Command;

use crate::require;

/// A command that runs its arguments as process 1 of a PID namespace of its own (`pid_namespaces(7)`), or says why there can be
/// none here (see [`require`]). Process 1 is its one child.
#[must_use]
pub fn pid_namespace() -> Option<Command> {
    let unshare = || {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--pid", "--fork", "--kill-child", "--mount-proc"]);
        command
    };
    let allowed = unshare().arg("true").output().is_ok_and(|output| output.status.success());
    let missing = "this test needs a PID namespace: run it as root, or allow unprivileged user namespaces";
    require(allowed, missing).then(unshare)
}
