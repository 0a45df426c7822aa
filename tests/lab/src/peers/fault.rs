//! What becomes of a server whose upgrade fails.
//!
//! The invariant: every word of a verdict reports what was observed: answers to fresh connections, the pids in them,
//! and whether a good upgrade afterwards brings a new one.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::unistd::{Pid, getpgid};
use serde::Serialize;
use testkit::{GaveUp, probe};

use crate::restart::CannotMeasure;

use super::peer::{CONFIGURATION, Kind, Peer, SERVER};
use super::server::Server;

/// How long a server is watched after a fault, and after it was mended. Longer than ours is told to wait for a
/// successor that hangs (`READY_TIMEOUT`). The timeouts of others cannot be set from outside.
const WATCHED: Duration = Duration::from_secs(2);
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// The new program is not there.
    Missing,
    /// It ends at once.
    Exits,
    /// It never gets ready.
    Hangs,
    /// The configuration is not one.
    Configuration,
    /// The signal comes again as soon as it was taken.
    Twice,
}

/// What became of the service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Aftermath {
    /// Fresh connections that got no answer.
    pub lost: usize,
    /// All fresh connections.
    pub probes: usize,
    /// Whether the last one was answered.
    pub serves: bool,
    /// Processes that answered in the second half of the time.
    pub servers: usize,
    /// Whether one of them had not answered before.
    pub replaced: bool,
    /// Whether a good upgrade afterwards brought a process that answered. `None` where nothing was there to be upgraded.
    pub upgrades_again: Option<bool>,
}

impl Fault {
    /// All of them.
    pub const ALL: [Fault; 5] = [Fault::Missing, Fault::Exits, Fault::Hangs, Fault::Configuration, Fault::Twice];

    /// As people call it.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Fault::Missing => "program missing",
            Fault::Exits => "program exits at once",
            Fault::Hangs => "program hangs",
            Fault::Configuration => "broken configuration",
            Fault::Twice => "two signals at once",
        }
    }

    /// The end of the keys of its values.
    pub(super) fn key(self) -> &'static str {
        match self {
            Fault::Missing => "missing",
            Fault::Exits => "exits",
            Fault::Hangs => "hangs",
            Fault::Configuration => "configuration",
            Fault::Twice => "twice",
        }
    }

    /// A reload of nginx starts no program, and one whose only input is its command line reads no configuration.
    fn applies_to(self, kind: Kind) -> bool {
        match self {
            Fault::Missing | Fault::Exits | Fault::Hangs => kind != Kind::NginxReload,
            Fault::Configuration => kind != Kind::UpgradesItself,
            Fault::Twice => true,
        }
    }

    fn break_in(self, directory: &Path) -> io::Result<()> {
        let server = directory.join(SERVER);
        let script = |text: &str| {
            // Written aside and moved: the file of a running program cannot be written.
            let aside = directory.join("broken");
            fs::write(&aside, text)?;
            fs::set_permissions(&aside, fs::Permissions::from_mode(0o755))?;
            fs::rename(&aside, &server)
        };
        match self {
            Fault::Missing => fs::remove_file(&server),
            Fault::Exits => script("#!/bin/sh\nexit 1\n"),
            Fault::Hangs => script("#!/bin/sh\nexec sleep 1000\n"),
            Fault::Configuration => fs::write(directory.join(CONFIGURATION), "this is no configuration\n"),
            Fault::Twice => Ok(()),
        }
    }
}

impl Peer {
    /// Lets an upgrade fail, watches the service, mends it, and upgrades again. `None` where the fault does not apply.
    ///
    /// # Errors
    /// If the server does not start, or cannot be broken.
    pub fn meets(&self, fault: Fault) -> Result<Option<Aftermath>, CannotMeasure> {
        if !fault.applies_to(self.kind) {
            return Ok(None);
        }
        let server = self.serve()?;
        let failed = |error: io::Error| GaveUp(format!("cannot break the server: {error}"));
        let directory = server.directory.path();
        let configuration = directory.join(CONFIGURATION);
        let good = configuration.exists().then(|| fs::read(&configuration)).transpose().map_err(failed)?;
        fault.break_in(directory).map_err(failed)?;

        let before = server.answerer()?.as_raw().cast_unsigned();
        server.ask_for_an_upgrade(server.leader)?;
        if fault == Fault::Twice {
            server.ask_once_more(server.leader)?;
        }
        let seen = watch(&server, |_| false);

        // Mended, and asked once more: the process that answers now, if it is one of ours.
        fs::copy(&self.program, directory.join("mended")).map_err(failed)?;
        fs::rename(directory.join("mended"), directory.join(SERVER)).map_err(failed)?;
        if let Some(good) = good {
            fs::write(&configuration, good).map_err(failed)?;
        }
        let last = seen.last().copied().flatten();
        let again = last.filter(|_| fault != Fault::Twice).map(|answerer| {
            let whom =
                if self.kind == Kind::UpgradesItself { Pid::from_raw(answerer.cast_signed()) } else { server.leader };
            let is_ours = getpgid(Some(whom)) == Ok(server.program.pid());
            let known: BTreeSet<_> = seen.iter().copied().flatten().collect();
            is_ours && {
                // Whether or not it takes note: the verdict is about which process answers.
                let _ = server.ask_for_an_upgrade(whom);
                let now = watch(&server, |pid| !known.contains(&pid));
                now.last().copied().flatten().is_some_and(|pid| !known.contains(&pid))
            }
        });
        let later: BTreeSet<_> = seen[seen.len() / 2..].iter().copied().flatten().collect();
        Ok(Some(Aftermath {
            lost: seen.iter().filter(|probe| probe.is_none()).count(),
            probes: seen.len(),
            serves: last.is_some(),
            servers: later.len(),
            replaced: later.iter().any(|pid| *pid != before),
            upgrades_again: again,
        }))
    }
}

impl Aftermath {
    /// What was observed, in words.
    #[must_use]
    pub fn said(&self) -> String {
        let mut said = match (self.serves, self.servers) {
            (false, _) => return format!("service gone, {} of {} requests lost", self.lost, self.probes),
            (true, 1) if self.replaced => "a new process serves".to_owned(),
            (true, 1) => "serves on".to_owned(),
            (true, servers) => format!("{servers} processes answer side by side"),
        };
        if self.lost > 0 {
            said = format!("{said}, {} of {} requests lost", self.lost, self.probes);
        }
        match self.upgrades_again {
            Some(true) => said + ", upgrades again",
            Some(false) => format!("{said}, no new process within {} s of a good upgrade", WATCHED.as_secs()),
            None => said,
        }
    }
}

/// The pids that answer fresh connections, one after the other, until a wanted one does, or the time is over.
fn watch(server: &Server, wanted: impl Fn(u32) -> bool) -> Vec<Option<u32>> {
    let deadline = Instant::now() + WATCHED;
    let mut seen = Vec::new();
    while Instant::now() < deadline {
        let pid = probe(server.socket_address()).ok().map(|answerer| answerer.pid);
        seen.push(pid);
        if pid.is_some_and(&wanted) {
            break;
        }
        sleep(LOOK_AGAIN);
    }
    seen
}
