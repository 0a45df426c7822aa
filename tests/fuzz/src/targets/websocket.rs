//! A websocket that moves from process to process, at moments that the input chooses: its handler reads what tungstenite alone reads,
//! and its client gets the same answers.
//!
//! The input is a list of steps, each a letter and a byte that says more.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use connection_handover::TunnelProtocol as _;
use every_connection::{Gate, Leave, Websockets};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::runtime::{Builder, Runtime};
use tokio::task::yield_now;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::wire::Socket;

/// A fresh connection: the name, a length, a number.
const FRESH: &[u8] = b"fuzz/1\n\0\0\0\x010";

/// Of what a client says in frames.
const MOST_SAID: usize = 1 << 16;

/// What a handler may need in polls until it waits for its client.
const POLLS: usize = 8;

/// What all handlers together may need in polls to come to their end.
const MOST_POLLS: usize = 1_000_000;

/// The first byte of a goodbye; a pong's is higher.
const GOODBYE: u8 = 0x88;

thread_local! {
    static RUNTIME: RefCell<Runtime> =
        RefCell::new(Builder::new_current_thread().enable_time().build().expect("there is memory"));
}

/// What the handlers have read.
type Heard = Arc<Mutex<Vec<Message>>>;

fn lock(heard: &Heard) -> MutexGuard<'_, Vec<Message>> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Notes and numbers what a client says, and answers.
macro_rules! serve {
    ($transport:expr, $heard:expr, $count:ident, $next:ident => $waits:expr) => {{
        // The usual 128 KiB take most of the time.
        let config = WebSocketConfig::default().read_buffer_size(4 * 1024);
        let mut socket = WebSocketStream::from_raw_socket($transport, Role::Server, Some(config)).await;
        loop {
            let $next = socket.next();
            let Some(next) = $waits else { break Some($count) };
            let Some(Ok(message)) = next else { break None };
            lock(&$heard).push(message.clone());
            if message.is_text() || message.is_binary() {
                $count += 1;
                if socket.send(format!("{} {message}", $count).into()).await.is_err() {
                    break None;
                }
            }
        }
    }};
}

async fn behind_gate(heard: Heard, gate: Gate, mut leave: Leave, mut count: u64) -> Option<u64> {
    serve!(gate, heard, count, next => leave.unless(next).await)
}

async fn alone(heard: Heard, socket: Socket) {
    let mut count = 0_u64;
    let _: Option<u64> = serve!(socket, heard, count, next => Some(next.await));
}

pub(crate) fn run(bytes: &[u8]) {
    RUNTIME.with_borrow(|runtime| runtime.block_on(compare(bytes)));
}

async fn compare(bytes: &[u8]) {
    let [heard, heard_alone] = [Heard::default(), Heard::default()];
    let (socket, said, blocked) = moving(bytes, &heard).await;
    let reference = Socket::default();
    reference.change(|state| (state.arrived, state.ended) = (said.into(), true));
    alone(Arc::clone(&heard_alone), reference.clone()).await;
    assert_eq!(*lock(&heard), *lock(&heard_alone), "a handler reads something else");
    let (moved, reference) = (socket.lock(), reference.lock());
    if blocked {
        // Then tungstenite answers the last of several pings, and none that an error comes behind.
        assert_eq!(answers(&moved.written), answers(&reference.written), "an answer is another one");
    } else {
        assert_eq!(moved.written, reference.written, "an answer is another one");
    }
}

/// The frames of a server but for its pongs and its goodbye.
fn answers(mut written: &[u8]) -> Vec<&[u8]> {
    let mut answers = Vec::new();
    while let [first, length, ..] = *written {
        let (size, length) = match length {
            126 => (4, usize::from(u16::from_be_bytes([written[2], written[3]]))),
            127 => (10, written[2..10].iter().fold(0, |length, byte| length << 8 | usize::from(*byte))),
            length => (2, length.into()),
        };
        // The last pong may be cut.
        let (frame, rest) = written.split_at((size + length).min(written.len()));
        answers.extend((first < GOODBYE).then_some(frame));
        written = rest;
    }
    answers
}

/// Does what the input says, and returns the socket, what the client has said, and whether it ever took less than it got.
async fn moving(bytes: &[u8], heard: &Heard) -> (Socket, Vec<u8>, bool) {
    let socket = Socket::default();
    let (mut said, mut sent, mut blocked) = (Vec::new(), 0, false);
    let heard = Arc::clone(heard);
    let process = Websockets::new("fuzz/1", move |gate, leave, count| behind_gate(heard.clone(), gate, leave, count));
    let process = process.message_timeout(Duration::from_secs(3600));
    let (mut state, mut steps) = (Bytes::from_static(FRESH), bytes);
    'processes: loop {
        process.check(&state).expect("it was just written");
        let control = process.resume(Box::new(socket.clone()), state).expect("its state is understood");
        let mut quiet = None;
        let taken = loop {
            let [what, how, behind @ ..] = steps else { break None };
            steps = behind;
            match what {
                // A frame of a client that keeps to the rules, or almost.
                b'f' => {
                    let [first, behind @ ..] = steps else { break None };
                    steps = behind;
                    if said.len() < MOST_SAID {
                        said.extend(frame(*first, *how));
                    }
                }
                // Anything at all.
                b'!' => {
                    let (any, behind) = steps.split_at(steps.len().min(usize::from(*how)));
                    said.extend_from_slice(any);
                    steps = behind;
                }
                b's' => {
                    let part = &said[sent..];
                    let part = &part[..if *how < 200 { part.len().min(usize::from(*how)) } else { part.len() }];
                    sent += part.len();
                    socket.change(|state| state.arrived.extend(part));
                }
                b'b' => {
                    blocked = true;
                    socket.change(|state| state.room = (*how < 200).then_some((*how).into()));
                }
                b'p' => {
                    for _ in 0..*how % 8 {
                        yield_now().await;
                    }
                }
                b'h' => quiet = Some(control.quiet()),
                b'u' => quiet = None,
                b'm' => {
                    let waits = quiet.get_or_insert_with(|| control.quiet());
                    for _ in 0..POLLS {
                        if is_ready(waits).await {
                            quiet = None;
                            break;
                        }
                        yield_now().await;
                    }
                    if quiet.is_none()
                        && let Some(state) = control.take()
                    {
                        break Some(state);
                    }
                }
                _ => {}
            }
        };
        if let Some(left) = taken {
            state = left;
            continue;
        }
        // The rest arrives, and the client takes all it gets; a handover may still be wanted.
        socket.change(|state| {
            state.arrived.extend(&said[sent..]);
            (state.room, state.ended) = (None, true);
        });
        sent = said.len();
        for _ in 0..MOST_POLLS {
            if socket.is_ours_alone() {
                return (socket, said, blocked);
            }
            if let Some(waits) = &mut quiet
                && is_ready(waits).await
            {
                quiet = None;
                if let Some(left) = control.take() {
                    state = left;
                    continue 'processes;
                }
            }
            yield_now().await;
        }
        panic!("a handler waits for ever");
    }
}

async fn is_ready(waits: &mut Pin<Box<dyn Future<Output = bool> + Send + '_>>) -> bool {
    poll_fn(|cx| Poll::Ready(waits.as_mut().poll(cx).is_ready())).await
}

/// A frame as a client sends it, of a length up to 17 KiB.
fn frame(first: u8, how: u8) -> Vec<u8> {
    const MASK: [u8; 4] = [1, 2, 3, 4];
    let length = if how < 200 { u16::from(how) } else { u16::from(how - 199) * 300 };
    let mut frame = match length {
        0..126 => vec![first, 0x80 | how],
        _ => [&[first, 0xfe][..], &length.to_be_bytes()].concat(),
    };
    frame.extend(MASK);
    frame.extend_from_slice(&MASK.map(|mask| b'x' ^ mask).repeat(usize::from(length / 4 + 1))[..length.into()]);
    frame
}
