//! What is said about idle connections.
//!
//! The invariant: a number is what clients saw; where there is none, the cell says why.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use comfy_table::Table;
use indicatif::HumanCount;
use serde::Serialize;

use crate::book;
use crate::machine::Fact;
use crate::report::STYLE;

use super::idle::{Idle, allow_connections};
use super::peer::Peer;
use super::protocol::Protocol;
use super::report::unknown;

/// A server's idle connections, of each protocol.
#[derive(Debug, Serialize)]
struct Row {
    name: &'static str,
    title: &'static str,
    /// In the order of [`Protocol::ALL`].
    idle: Vec<(Protocol, Result<Option<Idle>, String>)>,
}

/// Those of all servers, and where they were counted.
#[derive(Debug, Serialize)]
pub struct IdleReport {
    machine: Vec<Fact>,
    idle: Vec<Row>,
}

impl IdleReport {
    /// Opens connections to each of the servers, and restarts it; tells `watch` of each before.
    pub fn of(machine: Vec<Fact>, peers: &[Peer], mut watch: impl FnMut(&Peer, Protocol)) -> IdleReport {
        allow_connections();
        let mut look = |peer: &Peer, protocol| {
            watch(peer, protocol);
            (protocol, peer.closes_idle(protocol).map_err(|error| error.to_string()))
        };
        let idle = peers.iter().map(|peer| Row {
            name: peer.name,
            title: peer.title,
            idle: Protocol::ALL.into_iter().map(|protocol| look(peer, protocol)).collect(),
        });
        IdleReport { machine, idle: idle.collect() }
    }

    /// Writes it as JSON.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write_json(&self, file: &Path) -> io::Result<()> {
        book::write_json(file, self)
    }

    /// Writes `idle.md` (anchors `idle`, `machine`), `idle-values.md`, and `idle.json`.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write_for_book(&self, directory: &Path) -> io::Result<()> {
        let header: Vec<_> =
            ["server"].into_iter().chain(Protocol::ALL.map(Protocol::title)).map(str::to_owned).collect();
        let rows = self.idle.iter().map(|row| [row.title.to_owned()].into_iter().chain(row.cells()).collect());
        let text = [("idle", book::table(&header, rows)), ("machine", book::measured_with(&self.machine))];
        fs::write(directory.join("idle.md"), text.map(|(key, text)| book::anchored(key, &text)).join("\n"))?;
        let values = self.idle.iter().flat_map(|row| {
            let name = row.name.replace('-', "_");
            let cells = Protocol::ALL.into_iter().zip(row.cells());
            cells.map(move |(protocol, cell)| book::value(&format!("{name}_{}", protocol.key()), &cell))
        });
        let watched = book::value("watched", &Idle::WATCHED.as_secs().to_string());
        fs::write(directory.join("idle-values.md"), [watched].into_iter().chain(values).collect::<String>())?;
        self.write_json(&directory.join("idle.json"))
    }
}

impl Row {
    fn cells(&self) -> Vec<String> {
        let cell = |idle: &Result<Option<Idle>, String>| match idle {
            Ok(Some(Idle { connections, closed, old_stays })) => {
                let stays = if *old_stays && closed < connections { "; the old process stays" } else { "" };
                let [closed, all] = [*closed, *connections].map(|count| HumanCount(count as u64));
                format!("{closed} of {all}{stays}")
            }
            Ok(None) => "does not speak it".to_owned(),
            Err(why) => unknown(why),
        };
        self.idle.iter().map(|(_, idle)| cell(idle)).collect()
    }
}

impl fmt::Display for IdleReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new();
        table.load_style(STYLE);
        table.set_header([""].into_iter().chain(Protocol::ALL.map(Protocol::title)));
        for row in &self.idle {
            table.add_row([row.title.to_owned()].into_iter().chain(row.cells()));
        }
        writeln!(f, "{table}")?;
        write!(f, "Idle connections that the server closed, within {} s of an upgrade.", Idle::WATCHED.as_secs())
    }
}
