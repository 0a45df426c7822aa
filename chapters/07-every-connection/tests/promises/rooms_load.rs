//! Upgrades while all members talk: all of them hear all of it, once, and in one order.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use fastrand::Rng;
use futures_util::{SinkExt as _, StreamExt as _};
use nix::sys::signal::{Signal, kill};
use testkit::{Generations, try_await_exit, wait_until};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::rooms::start;

const MEMBERS: usize = 50;
const UPGRADES: usize = 20;

struct Progress {
    /// All begin to listen before the first one talks.
    begin: Barrier,
    stop: AtomicBool,
    heard: AtomicU64,
}

/// What a member says last.
const LEAVES: &str = "leaves";

#[derive(Default)]
struct Heard {
    lines: Vec<String>,
    came_back: u64,
}

/// `None`: the process that accepted was killed.
async fn open(address: &str, query: &str) -> Option<(WebSocketStream<TcpStream>, u64)> {
    let stream = TcpStream::connect(address).await.ok()?;
    let (client, answer) = client_async(format!("ws://{address}/{query}"), stream).await.ok()?;
    let position = answer.headers().get("position").expect("it is told where it begins");
    Some((client, position.to_str().expect("it is text").parse().expect("a number")))
}

/// Talks and listens until all members have said that they leave. If it loses its connection, it comes back.
async fn talk(address: String, name: usize, progress: Arc<Progress>) -> Heard {
    let (mut random, mut heard) = (Rng::with_seed(name as u64), Heard::default());
    let (mut client, mut position) = open(&address, "").await.expect("it listens");
    progress.begin.wait().await;
    let (mut said, mut leaves, mut left) = (0, false, 0);
    let mut speak_at = Instant::now();
    while left < MEMBERS {
        let connected = tokio::select! {
            () = sleep_until(speak_at), if !leaves => {
                leaves = progress.stop.load(Relaxed);
                let line = if leaves { LEAVES.to_owned() } else { format!("{said} {}", "x".repeat(random.usize(..300))) };
                said += 1;
                speak_at += Duration::from_millis(random.u64(50..400));
                client.send(format!("{name} {line}").into()).await.is_ok()
            }
            next = timeout(testkit::TIMEOUT, client.next()) => match next.expect("it is told") {
                Some(Ok(message)) if message.is_text() => {
                    let text = message.to_text().expect("it is text");
                    let (at, line) = text.split_once(' ').expect("it begins with a position");
                    let before = std::mem::replace(&mut position, at.parse().expect("a number"));
                    assert!(before < position, "positions go up: {before} {position}");
                    left += usize::from(line.ends_with(LEAVES));
                    heard.lines.push(line.to_owned());
                    progress.heard.fetch_add(1, Relaxed);
                    true
                }
                _ => false,
            },
        };
        if !connected {
            heard.came_back += 1;
            client = loop {
                if let Some((client, _)) = open(&address, &format!("?from={position}")).await {
                    break client;
                }
            };
        }
    }
    heard
}

/// What all have heard, which was the same, and how often one had to come back.
fn talk_during(server: &mut Generations, mut upgrade: impl FnMut(&mut Generations)) -> Heard {
    let runtime = Runtime::new().expect("a runtime");
    let progress = Progress { begin: Barrier::new(MEMBERS), stop: false.into(), heard: 0.into() };
    let (progress, mut members) = (Arc::new(progress), JoinSet::new());
    for name in 0..MEMBERS {
        members.spawn_on(talk(server.address().to_owned(), name, Arc::clone(&progress)), runtime.handle());
    }
    for _ in 0..UPGRADES {
        let before = progress.heard.load(Relaxed);
        wait_until("all talk", || progress.heard.load(Relaxed) >= before + 50 * MEMBERS as u64);
        upgrade(server);
    }
    progress.stop.store(true, Relaxed);
    let mut all = Heard::default();
    for (member, heard) in runtime.block_on(members.join_all()).into_iter().enumerate() {
        assert!(member == 0 || heard.lines == all.lines, "all should hear the same");
        all = Heard { lines: heard.lines, came_back: all.came_back + heard.came_back };
    }
    println!("{} lines, heard by {MEMBERS} members; connections lost: {}", all.lines.len(), all.came_back);
    all
}

#[test]
fn fifty_members_that_talk_hear_the_same_through_twenty_upgrades() {
    let (mut server, mut old) = (start(), None);
    let heard = talk_during(&mut server, |server| {
        // The next upgrade ends the probation of the one before.
        if let Some(older) = old.replace(server.upgrade()) {
            assert!(try_await_exit(older).is_ok(), "all should have gone; the log:\n{}", server.program.output());
        }
    });
    assert_eq!(heard.came_back, 0, "no connection should be lost");
    let (mut said, mut generations) = ([0; MEMBERS], BTreeSet::new());
    for line in &heard.lines {
        let mut words = line.split(' ');
        let mut word = || words.next().expect("there are three");
        generations.insert(word().to_owned());
        let (said, number) = (&mut said[word().parse::<usize>().expect("a member")], word());
        assert!(number == LEAVES || number == said.to_string(), "{line:.40} should be number {said}");
        *said += 1;
    }
    assert!(generations.len() > UPGRADES, "all should have taken some: {generations:?}");
}

#[test]
fn members_that_come_back_have_missed_nothing_whichever_process_is_killed_and_when() {
    let (mut server, mut random) = (start(), Rng::with_seed(7));
    let heard = talk_during(&mut server, |server| {
        let generation = server.generation;
        let old = server.upgrade();
        std::thread::sleep(Duration::from_millis(random.u64(..30)));
        if random.bool() {
            kill(old, Signal::SIGKILL).expect("it is on probation");
        } else {
            kill(server.serving, Signal::SIGKILL).expect("it serves");
            (server.serving, server.generation) = (old, generation - 1);
            server.next_generation(1);
        }
    });
    assert!(heard.came_back > 0, "some should have lost their connection");
    let once: BTreeSet<_> = heard.lines.iter().collect();
    assert_eq!(once.len(), heard.lines.len(), "each line was said once");
}
