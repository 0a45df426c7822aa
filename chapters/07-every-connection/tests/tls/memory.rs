//! What the memory of an old process still holds of a connection that has gone to another one. (A stack may hold what the library
//! has computed in the frames of calls that are over, until another call writes there: so those are not looked at.)

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use memchr::memmem;
use nix::unistd::Pid;
use rustls::ConnectionTrafficSecrets::{Aes128Gcm, Aes256Gcm, Chacha20Poly1305};
use rustls::{ClientConfig, KeyLog};
use testkit::{TIMEOUT, await_exit};

use crate::client::{ask, config, connect};
use crate::server::{BINARY, Server, rustls};

/// The size of a thread's stack (`std::thread`).
const STACK: u64 = 2 << 20;

/// The secrets of a connection, as its client knows them.
#[derive(Debug, Default)]
struct Secrets(Mutex<Vec<(String, Vec<u8>)>>);

impl KeyLog for Secrets {
    fn log(&self, label: &str, _: &[u8], secret: &[u8]) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.push((label.to_owned(), secret.to_vec()));
    }
}

/// What a process can write to, but for the stacks of its threads.
fn heap(pid: Pid) -> Vec<u8> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).expect("it runs");
    let memory = File::open(format!("/proc/{pid}/mem")).expect("it is ours");
    let mut heap = Vec::new();
    for line in maps.lines().filter(|line| line.contains(" rw") && !line.ends_with("[stack]")) {
        let (begin, end) = line.split(' ').next().and_then(|range| range.split_once('-')).expect("proc_pid_maps(5)");
        let number = |digits| u64::from_str_radix(digits, 16).expect("proc_pid_maps(5)");
        let (begin, length) = (number(begin), number(end) - number(begin));
        if length != STACK {
            let start = heap.len();
            heap.resize(start + usize::try_from(length).expect("it is memory"), 0);
            // `Err`: it was unmapped meanwhile.
            let _ = memory.read_exact_at(&mut heap[start..], begin);
        }
    }
    heap
}

#[test]
fn what_has_gone_leaves_none_of_its_secrets_behind() {
    let mut command = Command::new(BINARY);
    command.args(["--drain-timeout", "1h"]);
    let Some(mut server) = Server::start_by(command) else { return };
    let secrets = Arc::<Secrets>::default();
    let mut logs = ClientConfig::clone(&config(&server.certificate()));
    logs.key_log = Arc::clone(&secrets) as Arc<dyn KeyLog>;
    logs.enable_secret_extraction = true;
    let mut goes = connect(&server.address(), &Arc::new(logs));
    ask(&mut goes);
    // This one keeps the old process for as long as it is looked at.
    let mut stays = rustls(&server.generations, &server.files);
    stays.write_all(b"GET /stream?chunks=9000&interval=100ms HTTP/1.1\r\nHost: lab\r\n\r\n").expect("it is open");
    stays.read_exact(&mut [0]).expect("the answer begins");
    let known = secrets.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let used = heap(server.generations.serving);
    for (label, secret) in known.iter().filter(|(label, _)| label.ends_with("_TRAFFIC_SECRET_0")) {
        assert!(memmem::find(&used, secret).is_some(), "it serves with its {label}");
    }
    let old = server.generations.upgrade();
    while !ask(&mut goes).ends_with(" generation 2\n") {}
    let mut wanted = known;
    let (client, _socket) = goes.into_parts();
    let keys = client.dangerous_extract_secrets().expect("it is open");
    for (_, keys) in [keys.tx, keys.rx] {
        let (Aes128Gcm { key, .. } | Aes256Gcm { key, .. } | Chacha20Poly1305 { key, .. }) = &keys else {
            panic!("that is all of TLS 1.3")
        };
        wanted.push(("a key".to_owned(), key.as_ref().to_vec()));
    }
    // The successor may answer before the old process has read that it has taken the connection.
    let began = Instant::now();
    loop {
        let left = heap(old);
        let Some((label, _)) = wanted.iter().find(|(_, secret)| memmem::find(&left, secret).is_some()) else { break };
        assert!(began.elapsed() < TIMEOUT, "{label} is in the memory of a process that has no use for it");
    }
    drop(stays);
    await_exit(old);
    server.ends_well();
}
