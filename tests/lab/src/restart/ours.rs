//! Our own ways to restart a server, from the one that everybody tries first to the one that the book ends
//! with.
//!
//! The invariant: all of them answer `GET /` alike, and what is restarted is the same server wherever one and the same can be
//! restarted in several ways.

use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use testkit::{Program, try_await_exit};

use crate::server_binary::{BuildError, Built};
use crate::upgrade_run::{Listening, next_listening};

use super::strategy::{CannotMeasure, Running, Strategy};

/// One of our ways.
#[derive(Debug, Clone)]
pub struct Ours {
    name: &'static str,
    title: &'static str,
    order: Order,
    server: PathBuf,
}

/// What is done, in which order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    /// The old one is ended by this signal. When it is gone, the new one is started.
    EndThenStart(Signal),
    /// The new one is started. When it listens, the old one is told to stop.
    StartThenStop,
    /// The old one is told, and does the rest.
    Upgrade,
}

/// All of them: name, title, order, and whose server it is.
const WAYS: [(&str, &str, Order, Built); 7] = [
    ("kill-start", "kill, then start", Order::EndThenStart(Signal::SIGKILL), Built::POLITE),
    ("stop-start", "graceful stop, then start", Order::EndThenStart(Signal::SIGTERM), Built::POLITE),
    ("share-port", "SO_REUSEPORT", Order::StartThenStop, Built::example("lab", "share_port")),
    ("retire-first", "inherited, no readiness", Order::Upgrade, Built::example("graceful-upgrade", "s1_retire_first")),
    ("close-idle", "inherited, ready, idle closed", Order::Upgrade, Built::example("lab", "close_at_once")),
    ("polite-drain", "polite drain", Order::Upgrade, Built::POLITE),
    ("handover", "connections handed over", Order::Upgrade, Built::WHOLE),
];

impl Ours {
    /// Builds what all of them need.
    ///
    /// # Errors
    /// What Cargo says.
    pub fn all() -> Result<Vec<Box<dyn Strategy>>, BuildError> {
        let way = |(name, title, order, built): (_, _, _, Built)| -> Result<Box<dyn Strategy>, _> {
            Ok(Box::new(Ours { name, title, order, server: built.build()? }))
        };
        WAYS.into_iter().map(way).collect()
    }
}

impl Ours {
    /// The ways in which any server can be restarted that takes --listen, logs a line `listening` with address=… and pid=…,
    /// stops on SIGTERM and upgrades itself on SIGUSR2.
    #[must_use]
    pub fn of(server: &Path) -> Vec<Box<dyn Strategy>> {
        let ways = WAYS.into_iter().filter(|(.., built)| *built == Built::POLITE);
        let way = |(name, title, order, _)| -> Box<dyn Strategy> {
            Box::new(Ours { name, title, order, server: server.into() })
        };
        ways.map(way).collect()
    }
}

impl Strategy for Ours {
    fn name(&self) -> &str {
        self.name
    }

    fn title(&self) -> &str {
        self.title
    }

    fn start(&self) -> Result<Box<dyn Running>, CannotMeasure> {
        let (program, Listening { address, pid }) = start(&self.server, "127.0.0.1:0")?;
        Ok(Box::new(Server {
            order: self.order,
            path: self.server.clone(),
            program,
            address,
            serving: pid,
            last: None,
        }))
    }
}

struct Server {
    order: Order,
    path: PathBuf,
    /// The one that serves, or the first of its generations.
    program: Program,
    address: String,
    /// Who serves.
    serving: Pid,
    /// The one that was replaced, until it is gone.
    last: Option<Program>,
}

impl Running for Server {
    fn address(&self) -> &str {
        &self.address
    }

    fn restart(&mut self) -> Result<(), CannotMeasure> {
        match self.order {
            Order::EndThenStart(signal) => {
                kill(self.serving, signal)?;
                try_await_exit(self.serving)?;
                self.replace()
            }
            Order::StartThenStop => {
                let old = self.serving;
                self.replace()?;
                Ok(kill(old, Signal::SIGTERM)?)
            }
            Order::Upgrade => {
                kill(self.serving, Signal::SIGUSR2)?;
                self.serving = next_listening(&mut self.program)?.pid;
                Ok(())
            }
        }
    }

    fn settle(&mut self) -> Result<(), CannotMeasure> {
        self.last = None;
        Ok(())
    }
}

impl Server {
    /// Starts another one at the same address.
    fn replace(&mut self) -> Result<(), CannotMeasure> {
        let (program, Listening { pid, .. }) = start(&self.path, &self.address)?;
        self.last = Some(std::mem::replace(&mut self.program, program));
        self.serving = pid;
        Ok(())
    }
}

fn start(server: &Path, address: &str) -> Result<(Program, Listening), CannotMeasure> {
    let mut command = Command::new(server);
    // Its log is for us to read: with the line we wait for, and without colours in it.
    command.args(["--listen", address]).envs([("RUST_LOG", "info"), ("NO_COLOR", "1")]);
    let mut program = Program::try_start(&mut command).map_err(|error| CannotMeasure::Start(server.into(), error))?;
    let listening = next_listening(&mut program)?;
    Ok((program, listening))
}
