//! What the environment says about passed descriptors, as `sd_listen_fds(3)` defines it.
//!
//! The invariant: the variables are read once. Reading removes them, so no child of ours takes them for its own.

use std::ffi::CString;
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStringExt as _;
use std::{env, fs};

use nix::unistd::Pid;

use crate::InheritError;

/// Number of the first passed descriptor; 0 to 2 are the standard streams (`SD_LISTEN_FDS_START`).
pub(crate) const FIRST: RawFd = 3;

/// How many descriptors there are, counted from [`FIRST`].
const COUNT: &str = "LISTEN_FDS";

/// The process that they are for. A grandchild that got the variables by accident finds another pid here.
const PID: &str = "LISTEN_PID";

/// A name for each, separated by colons.
const NAMES: &str = "LISTEN_FDNAMES";

/// All variables of the protocol: one that is missing here would leak into every later child.
///
/// Newer versions of systemd set the last one as well; it tells apart two processes that had the same pid.
const VARIABLES: [&str; 4] = [COUNT, PID, NAMES, "LISTEN_PIDFDID"];

/// Name of a descriptor that was given none.
const UNKNOWN: &str = "unknown";

/// What `LISTEN_FDS` and its companions say.
pub(crate) struct ListenEnv {
    pub(crate) count: usize,
    names: Option<String>,
    /// Whether `LISTEN_PID` is set. If so, it is our pid: any other is refused.
    pub(crate) addressed: bool,
}

impl ListenEnv {
    /// Takes the variables out of the environment. `None`: no descriptors are promised.
    ///
    /// # Errors
    /// If more than one thread runs, if the descriptors are for another process, or if their count is not a number.
    pub(crate) fn take() -> Result<Option<ListenEnv>, InheritError> {
        if VARIABLES.iter().all(|variable| env::var_os(variable).is_none()) {
            return Ok(None);
        }
        let threads = fs::read_dir("/proc/self/task")?.count();
        if threads != 1 {
            return Err(InheritError::Threads(threads));
        }
        // What is not UTF-8 is neither a number nor a name.
        let [count, pid, names] =
            [COUNT, PID, NAMES].map(|variable| env::var_os(variable).map(|it| it.to_string_lossy().into_owned()));
        for variable in VARIABLES {
            // SAFETY: no other thread may touch the environment meanwhile (`std::env::remove_var`). There is none: we
            // just counted, and only this thread could start one.
            unsafe { env::remove_var(variable) };
        }
        let Some(count) = count.filter(|count| count.parse() != Ok(0_usize)) else { return Ok(None) };
        let (ours, addressed) = (Pid::this(), pid.is_some());
        if let Some(theirs) = pid.filter(|theirs| theirs.parse() != Ok(ours.as_raw())) {
            return Err(InheritError::OtherPid(theirs, ours));
        }
        let count = count.parse().map_err(|_| InheritError::Count(count))?;
        Ok(Some(ListenEnv { count, names, addressed }))
    }

    /// One name for each descriptor.
    pub(crate) fn names(&self) -> Result<Vec<String>, InheritError> {
        let Some(names) = &self.names else { return Ok(vec![UNKNOWN.to_owned(); self.count]) };
        // systemd lets a name be empty.
        let each = names.split(':').map(|name| if name.is_empty() { UNKNOWN } else { name });
        let each: Vec<_> = each.map(str::to_owned).collect();
        let right = each.len() == self.count && each.iter().all(|name| is_name(name));
        if right { Ok(each) } else { Err(InheritError::Names(names.clone(), self.count)) }
    }
}

/// Our environment, with the variables replaced by new ones for descriptors that are called `names`.
///
/// `LISTEN_PID` is not among them: the process that it would name does not exist yet.
pub(crate) fn environment(names: &[String]) -> Vec<CString> {
    let ours = env::vars_os().filter(|(key, _)| VARIABLES.iter().all(|variable| key != variable));
    let mut all: Vec<_> = ours.map(|(key, value)| [key.into_vec(), value.into_vec()].join(&b'=')).collect();
    if !names.is_empty() {
        all.push(format!("{COUNT}={}", names.len()).into());
        all.push(format!("{NAMES}={}", names.join(":")).into());
    }
    // The kernel ends each string at its first NUL, so no variable that we were given contains one.
    all.into_iter().filter_map(|variable| CString::new(variable).ok()).collect()
}

/// Whether `name` can stand in [`NAMES`]: printable ASCII, no colon, at most 255 bytes (`FileDescriptorName=` in
/// systemd.socket(5)).
pub(crate) fn is_name(name: &str) -> bool {
    let fits = |byte: u8| matches!(byte, b' '..=b'~') && byte != b':';
    (1..=255).contains(&name.len()) && name.bytes().all(fits)
}
