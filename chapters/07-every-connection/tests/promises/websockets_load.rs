//! Upgrades under load: no message is lost, doubled or reordered, and no websocket is closed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use fastrand::Rng;
use futures_util::{SinkExt as _, StreamExt as _};
use testkit::try_await_exit;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, frame::Frame};
use tokio_tungstenite::tungstenite::{Bytes, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::server::upgrades;
use crate::websockets::start;

const CONNECTIONS: u64 = 200;

#[derive(Default)]
struct Progress {
    stop: AtomicBool,
    answered: AtomicU64,
    pings: AtomicU64,
}

type Client = WebSocketStream<TcpStream>;

async fn next(client: &mut Client) -> Message {
    let next = timeout(testkit::TIMEOUT, client.next()).await.expect("an answer comes");
    next.expect("the connection stays open").expect("no error")
}

async fn send(client: &mut Client, random: &mut Rng, text: &str) {
    if random.u8(..8) > 0 {
        return client.send(text.into()).await.expect("the connection stays open");
    }
    let parts: Vec<_> = text.as_bytes().chunks(text.len() / 3 + 1).collect();
    for (number, part) in parts.iter().enumerate() {
        let opcode = OpCode::Data(if number == 0 { Data::Text } else { Data::Continue });
        let part = Frame::message(Bytes::copy_from_slice(part), opcode, number + 1 == parts.len());
        client.send(Message::Frame(part)).await.expect("the connection stays open");
        sleep(Duration::from_millis(random.u64(..10))).await;
    }
}

/// Talks until it is told to stop, and returns the generations that answered.
async fn talk(address: String, seed: u64, progress: Arc<Progress>) -> BTreeSet<u64> {
    let mut random = Rng::with_seed(seed);
    let stream = TcpStream::connect(&address).await.expect("it listens");
    let (mut client, _) = client_async(format!("ws://{address}/{seed}"), stream).await.expect("it is a websocket");
    let (mut generations, mut count) = (BTreeSet::new(), 0_u64);
    while !progress.stop.load(Relaxed) {
        // Some at once, so that some wait unread in the moment of a handover.
        let texts: Vec<_> = (0..random.usize(1..4))
            .map(|number| {
                format!("{number} {}", "x".repeat(if random.u8(..10) == 0 { random.usize(..70_000) } else { 20 }))
            })
            .collect();
        for text in &texts {
            send(&mut client, &mut random, text).await;
        }
        for text in &texts {
            count += 1;
            let answer = next(&mut client).await.into_text().expect("it is a text");
            let (generation, rest) = answer.split_once(' ').expect("it begins with a generation");
            let expected = format!("/{seed} {count} {text}");
            assert!(rest == expected, "{rest:.60} should be {expected:.60}");
            generations.insert(generation.parse().expect("a number"));
            progress.answered.fetch_add(1, Relaxed);
        }
        if random.u8(..4) == 0 {
            let ping = Bytes::from(vec![b'p'; random.usize(..125)]);
            client.send(Message::Ping(ping.clone())).await.expect("the connection stays open");
            assert_eq!(next(&mut client).await, Message::Pong(ping));
            progress.pings.fetch_add(1, Relaxed);
        }
        sleep(Duration::from_millis(random.u64(..50))).await;
    }
    let normal = CloseFrame { code: CloseCode::Normal, reason: "".into() };
    client.close(Some(normal.clone())).await.expect("the connection stays open");
    assert_eq!(next(&mut client).await, Message::Close(Some(normal)));
    generations
}

#[test]
fn two_hundred_clients_that_talk_keep_their_connections() {
    let (mut server, runtime) = (start(&[]), Runtime::new().expect("a runtime"));
    let (progress, mut clients) = (Arc::new(Progress::default()), JoinSet::new());
    for seed in 0..CONNECTIONS {
        clients.spawn_on(talk(server.address().to_owned(), seed, Arc::clone(&progress)), runtime.handle());
    }
    for _ in 0..upgrades() {
        let before = progress.answered.load(Relaxed);
        testkit::wait_until("all talk", || progress.answered.load(Relaxed) >= before + 3 * CONNECTIONS);
        let old = server.upgrade();
        assert!(try_await_exit(old).is_ok(), "all websockets should have gone; the log:\n{}", server.program.output());
    }
    progress.stop.store(true, Relaxed);
    let generations = runtime.block_on(clients.join_all());
    let most = |all: &BTreeSet<_>| all.len() > upgrades() as usize / 2;
    assert!(generations.iter().all(most), "all should have gone over: {generations:?}");
    let (answered, pings) = (progress.answered.load(Relaxed), progress.pings.load(Relaxed));
    println!("answered={answered} pings={pings} on {CONNECTIONS} connections by {} generations", server.generation);
}
