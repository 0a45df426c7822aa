//! Process 1 of a container: the kernel ends every other process in there with it (`pid_namespaces(7)`).
//!
//! The invariant: where process 1 would end with this process, no successor is started; where it may, a line says so.

use std::path::Path;
use std::{fs, process};

use nix::sys::signal::Signal;
use nix::unistd::getppid;

/// The name of process 1, if it is a container's: a server, a shell, a small init such as tini. `None` for systemd, and for the
/// inits of whole machines, whose PID namespace is the first one (`PID_NS_INIT_INO` in linux/nsfs.h).
#[must_use]
pub fn container_init() -> Option<String> {
    let of_the_machine = fs::read_link("/proc/self/ns/pid").is_ok_and(|it| it == Path::new("pid:[4026531836]"));
    let name = fs::read_to_string("/proc/1/comm").ok()?;
    (!of_the_machine && name != "systemd\n").then(|| name.trim_end().to_owned())
}

/// Checks whether this process, which no predecessor started, may have a successor.
///
/// # Errors
/// If this is process 1.
pub(crate) fn let_it_be_succeeded() -> Result<(), &'static str> {
    if process::id() == 1 {
        return Err("this is process 1, and the kernel would end the new process with it; \
                    a server that is to be upgraded there needs a supervisor, as graceful-demo has (chapter 6)");
    }
    if let Some(process_1) = container_init().filter(|_| process_1_may_end_with_us()) {
        tracing::warn!(
            process_1,
            "process 1 of this container may end with this process, and the new one with it; \
             if so, start a server that supervises, as graceful-demo --supervise does (chapter 6)"
        );
    }
    Ok(())
}

/// Whether process 1 is our parent or an ancestor. A shell script, timeout(1) and tini end when their child ends.
fn process_1_may_end_with_us() -> bool {
    let mut pid = getppid().as_raw();
    // Process 0 is outside the namespace: `docker exec` and nsenter(1) start processes from there.
    while let Ok(status) = fs::read_to_string(format!("/proc/{pid}/status")) {
        let field = |key| status.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default().trim();
        // An interactive shell ignores SIGTSTP (job control), and outlives what it has started.
        let ignored = u64::from_str_radix(field("SigIgn:"), 16).unwrap_or_default();
        if ignored >> (Signal::SIGTSTP as i32 - 1) & 1 == 1 {
            return false;
        }
        if pid == 1 {
            return true;
        }
        pid = field("PPid:").parse().unwrap_or_default();
    }
    false
}
