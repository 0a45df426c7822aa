//! Which peers there are on this machine.
//!
//! The invariant: a peer that is not installed is named, with the package to install; the others are measured
//! nonetheless.

use std::env::{split_paths, var_os};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::GaveUp;

use crate::machine::{debian_version, locked};
use crate::server_binary::Built;

use super::peer::{Kind, Peer};
use super::protocol::Protocol;

const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peers");

/// Where they are built: beside everything else, and out of its way.
const BUILT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/peers");

/// Debian's Go packages are there.
const GO_PATH: &str = "/usr/share/gocode";

/// What is there, and what is not.
#[derive(Debug, Default)]
pub struct Found {
    /// In the order of the table.
    pub peers: Vec<Peer>,
    /// What to do about the others, one sentence each.
    pub missing: Vec<String>,
}

/// All of them, ours first: name, title, what kind of system it is, and where it comes from.
const PEERS: [(&str, &str, Kind, Source); 10] = [
    ("polite-drain", "ours, polite drain", Kind::UpgradesItself, Source::Ours(Built::POLITE)),
    ("handover", "ours, connections handed over", Kind::UpgradesItself, Source::Ours(Built::WHOLE)),
    ("every-connection", "ours, every connection", Kind::UpgradesItself, Source::Ours(Built::EVERY)),
    ("grace", "grace", Kind::UpgradesItself, Source::Go("facebookgo/grace", "golang-github-facebookgo-grace-dev")),
    (
        "tableflip",
        "tableflip",
        Kind::UpgradesItself,
        Source::Go("cloudflare/tableflip", "golang-github-cloudflare-tableflip-dev"),
    ),
    ("ecdysis", "ecdysis", Kind::UpgradesItself, Source::Cargo),
    ("nginx-reload", "nginx, reload", Kind::NginxReload, Source::Debian("nginx", "nginx-light")),
    ("nginx-binary", "nginx, new binary", Kind::NginxBinary, Source::Debian("nginx", "nginx-light")),
    ("haproxy", "HAProxy, reload", Kind::Haproxy { option: "" }, Source::Debian("haproxy", "haproxy")),
    (
        "haproxy-best",
        "HAProxy, reload, idle-close-on-response",
        Kind::Haproxy { option: "option idle-close-on-response" },
        Source::Debian("haproxy", "haproxy"),
    ),
];

/// Where a program comes from.
#[derive(Debug, Clone, Copy)]
enum Source {
    /// A chapter's program.
    Ours(Built),
    /// A server of ours on a Go library: where that is, below `github.com`, and its Debian package.
    Go(&'static str, &'static str),
    /// A server of ours on ecdysis.
    Cargo,
    /// A program, and its Debian package.
    Debian(&'static str, &'static str),
}

/// Looks for all of them, and builds those that are ours to build. `only` names those to look for; none means all.
#[must_use]
pub fn find(only: &[String]) -> Found {
    let mut found = Found::default();
    for (name, title, kind, source) in PEERS {
        if !only.is_empty() && !only.iter().any(|wanted| wanted == name) {
            continue;
        }
        match source.program(name) {
            Ok(program) => found.peers.push(Peer { name, title, kind, program, speaks: source.speaks() }),
            Err(missing) => found.missing.push(format!("{title}: {missing}")),
        }
    }
    found
}

/// The packages that they are made of, with versions, as far as they are known.
#[must_use]
pub fn versions(peers: &[Peer]) -> String {
    let there = PEERS.into_iter().filter(|(name, ..)| peers.iter().any(|peer| peer.name == *name));
    let mut versions: Vec<_> = there.filter_map(|(.., source)| source.version()).collect();
    versions.dedup();
    versions.join(", ")
}

/// The names of all.
pub fn names() -> impl Iterator<Item = &'static str> {
    PEERS.into_iter().map(|(name, ..)| name)
}

impl Source {
    fn version(self) -> Option<String> {
        match self {
            Source::Ours(_) => None,
            Source::Go(_, package) | Source::Debian(_, package) => debian_version(package),
            Source::Cargo => {
                let lock = fs::read_to_string(format!("{SOURCES}/ecdysis/Cargo.lock")).ok()?;
                locked(&lock, "ecdysis")
            }
        }
    }

    /// What it speaks, as it is here: the smallest servers on others' libraries speak HTTP/1, whatever else those could.
    fn speaks(self) -> &'static [Protocol] {
        match self {
            Source::Ours(Built::WHOLE) => &[Protocol::Http1, Protocol::Http2],
            Source::Ours(Built::EVERY) | Source::Debian(..) => &Protocol::ALL,
            Source::Ours(_) | Source::Go(..) | Source::Cargo => &[Protocol::Http1],
        }
    }

    fn program(self, name: &str) -> Result<PathBuf, String> {
        match self {
            Source::Ours(built) => built.build().map_err(|error| error.to_string()),
            Source::Debian(program, package) => on_path(program).ok_or_else(|| install(package)),
            Source::Go(library, package) => {
                if !Path::new(GO_PATH).join("src/github.com").join(library).exists() {
                    return Err(install(&format!("golang-go {package}")));
                }
                let program = Path::new(BUILT).join(name);
                let mut go = Command::new("go");
                go.args(["build", "-o"]).arg(&program).arg(format!("{SOURCES}/{name}/main.go"));
                built(go.envs([("GO111MODULE", "off"), ("GOPATH", GO_PATH)]), "golang-go").map(|()| program)
            }
            Source::Cargo => {
                let mut cargo = Command::new("cargo");
                cargo.args(["build", "--quiet", "--release", "--locked", "--target-dir", BUILT]);
                cargo.arg("--manifest-path").arg(format!("{SOURCES}/{name}/Cargo.toml"));
                built(&mut cargo, "cargo").map(|()| Path::new(BUILT).join(format!("release/peer-{name}")))
            }
        }
    }
}

fn built(command: &mut Command, package: &str) -> Result<(), String> {
    let output = command.output().map_err(|error| {
        let program = command.get_program().display();
        format!("cannot start {program}: {error}; {}", install(package))
    })?;
    let says = String::from_utf8_lossy(&output.stderr).into_owned();
    output.status.success().then_some(()).ok_or_else(|| format!("{command:?} failed:\n{says}"))
}

fn install(package: &str) -> String {
    format!("install it with `apt-get install {package}`")
}

/// A program that a measurement needs.
pub(super) fn require(program: &str, package: &str) -> Result<PathBuf, GaveUp> {
    on_path(program).ok_or_else(|| GaveUp(format!("there is no `{program}`: {}", install(package))))
}

/// Debian keeps servers where a person's PATH does not look.
pub(crate) fn on_path(program: &str) -> Option<PathBuf> {
    let path = var_os("PATH").unwrap_or_default();
    let directories = split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    directories
        .map(|directory| directory.join(program))
        .find(|file| fs::metadata(file).is_ok_and(|meta| meta.is_file()))
}
