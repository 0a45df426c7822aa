//! What stands before the instances.
//!
//! The invariant: one that is not installed is named, with the package to install; and what a balancer is asked for, it has
//! done when the call returns.

use std::path::{Path, PathBuf};

use testkit::{GaveUp, probe};

use crate::machine::debian_version;
use crate::peers::on_path;
use crate::restart::CannotMeasure;

use super::haproxy::Haproxy;
use super::instance::Instance;
use super::machines::FRONT;
use super::nginx::Nginx;
use super::until::until;

/// A balancer that runs.
pub(super) trait Balancer {
    /// Sends an instance no more requests, and waits until those that it has are answered.
    fn drain(&mut self, machine: u32) -> Result<(), CannotMeasure>;

    /// Sends it requests again.
    fn undrain(&mut self, machine: u32) -> Result<(), CannotMeasure>;

    /// How many connections it has opened to the instances so far, in order to send requests on them.
    fn opened(&self, instances: &[Instance]) -> Result<u64, GaveUp>;

    /// How many requests it has sent once more so far, to the same instance or to another one.
    fn sent_again(&self) -> Result<u64, GaveUp>;
}

/// Which one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It checks the instances' health by itself, and takes commands on a socket.
    Haproxy,
    /// It learns of an instance's health from the requests that fail, and takes a new configuration.
    Nginx,
}

/// Those that are here, with their programs, and what to do about the others, one sentence each.
#[derive(Debug, Default)]
pub struct Found {
    /// In the order of the table.
    pub balancers: Vec<(Kind, PathBuf)>,
    /// What is not here.
    pub missing: Vec<String>,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 2] = [Kind::Haproxy, Kind::Nginx];

    /// To ask for it by; and the name of its program.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Kind::Haproxy => "haproxy",
            Kind::Nginx => "nginx",
        }
    }

    /// For people.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Kind::Haproxy => "HAProxy",
            Kind::Nginx => "nginx",
        }
    }

    fn package(self) -> &'static str {
        match self {
            Kind::Haproxy => "haproxy",
            Kind::Nginx => "nginx-light",
        }
    }

    /// Its Debian package with its version, if it comes from one.
    #[must_use]
    pub fn version(self) -> Option<String> {
        debian_version(self.package())
    }

    /// Starts it before the instances, and waits until it passes an answer on.
    pub(super) fn start(self, program: &Path) -> Result<Box<dyn Balancer>, CannotMeasure> {
        let balancer: Box<dyn Balancer> = match self {
            Kind::Haproxy => Box::new(Haproxy::start(program)?),
            Kind::Nginx => Box::new(Nginx::start(program)?),
        };
        until("an answer through the balancer", || probe(FRONT).is_ok())?;
        Ok(balancer)
    }
}

/// Looks for the balancers of these names; for all, if there are none.
#[must_use]
pub fn find(only: &[String]) -> Found {
    let mut found = Found::default();
    for kind in Kind::ALL.into_iter().filter(|kind| only.is_empty() || only.iter().any(|name| name == kind.name())) {
        if let Some(program) = on_path(kind.name()) {
            found.balancers.push((kind, program));
        } else {
            let (title, package) = (kind.title(), kind.package());
            found.missing.push(format!("{title}: install it with `apt-get install {package}`"));
        }
    }
    found
}
