//! Many idle connections, which an upgrade hands over, and the clients of other connections meanwhile.
//!
//! The invariant: a connection that is counted as handed over has had an answer before, and has one after, from the new process.

use std::time::Duration;

use indicatif::HumanCount;

use crate::client::Client;
use crate::descriptors;
use crate::measured::Measured;
use crate::others;
use crate::row::Row;
use crate::servers::Server;

/// How often they are handed over, by a server of its own.
const ROUNDS: usize = 5;

/// Such connections.
pub(crate) struct ManyIdle<'it, C> {
    /// How the keys of the rows begin.
    pub(crate) key: &'static str,
    pub(crate) count: u32,
    /// What they are, after their number.
    pub(crate) what: &'static str,
    pub(crate) start: &'it dyn Fn() -> Server,
    pub(crate) connect: &'it dyn Fn(&str) -> C,
}

impl<C: Client + 'static> ManyIdle<'_, C> {
    /// How long it takes to hand them over (the row that `asked` completes), and what others notice of it.
    pub(crate) fn measure(&self, asked: impl FnOnce(Row) -> Row) -> Measured {
        let ManyIdle { key, count, .. } = *self;
        if descriptors::allow_connections(count) < count {
            return Measured::all([]).without([format!("{self}: raise `ulimit -Hn` in this shell")]);
        }
        let took: Vec<_> = (0..ROUNDS).map(|_| self.hand_over()).collect();
        let row = Row::millis(format!("{key}_handover"), format!("{self} handed over, and the old process gone"), took);
        Measured::all([asked(row)]).and(others::measure(self, &others::P99))
    }

    /// From the line `draining` until all connections are in the new process and the old one is gone.
    pub(crate) fn hand_over(&self) -> Duration {
        let mut server = (self.start)();
        let mut clients = self.connected(&server, self.count);
        let took = server.replace();
        for client in &mut clients {
            client.assert_answered_by(2);
        }
        took
    }

    /// So many, each of which has had its first answer.
    pub(crate) fn connected(&self, server: &Server, count: u32) -> Vec<C> {
        let mut clients: Vec<_> = (0..count).map(|_| (self.connect)(&server.address)).collect();
        for client in &mut clients {
            client.assert_answered_by(server.generation);
        }
        clients
    }
}

impl<C> std::fmt::Display for ManyIdle<'_, C> {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(to, "{} idle {}", HumanCount(self.count.into()), self.what)
    }
}
