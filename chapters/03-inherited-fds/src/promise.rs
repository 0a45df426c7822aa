//! What the environment promises: how many descriptors, by which names, for whom.
//!
//! The invariant: a promise is read once. Reading it removes it from the environment, kept or broken, so no later child
//! can take it for its own.

use std::env;
use std::ffi::OsString;

use nix::unistd::Pid;

use crate::InheritError;
use crate::process;
use crate::protocol::{COUNT, NAMES, PID, UNKNOWN, VARIABLES, is_name};

/// What `LISTEN_FDS` and its companions say.
#[derive(Debug)]
pub(crate) struct Promise {
    /// A name for each descriptor.
    pub(crate) names: Vec<String>,
    /// Whether `LISTEN_PID` says that they are for us. Never false because it named another process: that is an error.
    pub(crate) addressed: bool,
}

impl Promise {
    // ANCHOR: take
    /// Takes the promise out of the environment. `None`: there is none.
    pub(crate) fn take() -> Result<Option<Promise>, InheritError> {
        if VARIABLES.iter().all(|variable| env::var_os(variable).is_none()) {
            return Ok(None);
        }
        let threads = process::threads().map_err(InheritError::Proc)?;
        if threads != 1 {
            return Err(InheritError::Threads { threads });
        }
        let [count, pid, names] = [COUNT, PID, NAMES].map(env::var_os);
        for variable in VARIABLES {
            // SAFETY: no other thread may touch the environment meanwhile (`std::env::remove_var`). There is none: we
            // just counted, and only this thread could start one.
            unsafe { env::remove_var(variable) };
        }
        let Some(count) = count else { return Ok(None) };
        // Whom it is for comes first: a promise to somebody else is none of our business, well-formed or not.
        let addressed = pid.map(|pid| check_pid(&pid)).transpose()?.is_some();
        Ok(Some(Promise { names: read_names(names, read_count(&count)?)?, addressed }))
    }
    // ANCHOR_END: take
}

// ANCHOR: check_pid
fn check_pid(pid: &OsString) -> Result<(), InheritError> {
    let ours = Pid::this();
    let theirs = pid.to_string_lossy();
    if theirs.parse() == Ok(ours.as_raw()) {
        return Ok(());
    }
    Err(InheritError::OtherPid { theirs: theirs.into_owned(), ours })
}
// ANCHOR_END: check_pid

// ANCHOR: read_count
fn read_count(count: &OsString) -> Result<usize, InheritError> {
    let count = count.to_string_lossy();
    let promised = count.parse().map_err(|_| InheritError::Count(count.into_owned()))?;
    // A broken promise is found out here, before anybody counts to four billion.
    let open = process::descriptors().map_err(InheritError::Proc)?;
    if promised > open { Err(InheritError::Promise { promised, open }) } else { Ok(promised) }
}
// ANCHOR_END: read_count

fn read_names(names: Option<OsString>, promised: usize) -> Result<Vec<String>, InheritError> {
    let Some(names) = names else { return Ok(vec![UNKNOWN.to_owned(); promised]) };
    let names = names.to_string_lossy();
    // systemd lets a name be empty.
    let each = names.split(':').map(|name| if name.is_empty() { UNKNOWN } else { name });
    let each: Vec<String> = each.map(str::to_owned).collect();
    if each.len() != promised {
        return Err(InheritError::Names { names: each.len(), promised });
    }
    if !each.iter().all(|name| is_name(name)) {
        return Err(InheritError::Name(names.into_owned()));
    }
    Ok(each)
}
