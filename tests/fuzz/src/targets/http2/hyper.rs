//! A connection that goes from process to process, each with hyper behind a gate; and beside it one that stays, with hyper and no gate.
//! Their clients do the same, and are answered the same.
//!
//! The input is a list of steps, each a letter and a byte that says more. Time passes as the input says, and no other.

use std::error::Error;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::{BufMut as _, Bytes};
use connection_handover::{Http2Gate as _, Movable, Transport, http2_library};
use every_connection::Http2;
use graceful_shutdown::ClientTimeouts;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::runtime::Builder;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::super::wire::Socket;
use super::client::{Answer, Client};
use super::peers::put;

static GATES: LazyLock<Http2> = LazyLock::new(Http2::new);

/// After this, everything that was on its way has arrived.
const SOON: Duration = Duration::from_millis(1);

struct World {
    client: Client,
    socket: Socket,
    library: JoinHandle<()>,
    /// The server's side of the gate, if there is one.
    control: Option<Arc<dyn Movable>>,
    /// Waits for the connection to be quiet, and takes it.
    leaves: Option<JoinHandle<Option<Bytes>>>,
    /// So far, the client has kept to the rules; or at least sent whole frames.
    honest: bool,
    whole: bool,
    /// Nothing comes later to the library because of a gate, or to the gate because of the client.
    calm: bool,
}

pub(crate) fn run(bytes: &[u8]) {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().expect("there is memory");
    runtime.block_on(compare(bytes));
}

async fn compare(bytes: &[u8]) {
    let mut worlds = [World::gated(), World::alone()];
    let mut steps = bytes;
    while let [what, how, behind @ ..] = steps {
        for world in &mut worlds {
            steps = world.step(*what, *how, behind);
        }
        match what {
            b'>' => arrive(&mut worlds, usize::from(*how) + 1).await,
            b't' => {
                settle(&mut worlds).await;
                sleep(Duration::from_millis(u64::from(*how) * 2)).await;
                settle(&mut worlds).await;
            }
            _ => {}
        }
    }
    for world in &mut worlds {
        world.stays();
        world.socket.change(|state| state.room = None);
    }
    settle(&mut worlds).await;
    for world in &mut worlds {
        world.client.grant(1 << 24);
    }
    for _ in 0..8 {
        settle(&mut worlds).await;
        sleep(Duration::from_millis(100)).await;
    }
    for world in &worlds {
        world.socket.change(|state| state.ended = true);
    }
    settle(&mut worlds).await;
    check(&worlds);
}

/// Lets what the clients have said arrive in pieces, not too many.
async fn arrive(worlds: &mut [World; 2], size: usize) {
    while worlds.iter().any(|world| !world.client.says.is_empty()) {
        for World { client, socket, .. } in &mut *worlds {
            let piece = client.says.split_to(client.says.len().min(size.max(client.says.len() / 8)));
            socket.change(|state| state.arrived.extend(&piece));
        }
        sleep(SOON).await;
    }
}

/// Lets everything arrive, and the clients say what follows from it, until nothing does.
async fn settle(worlds: &mut [World; 2]) {
    loop {
        let mut goes_on = false;
        for World { client, socket, .. } in &mut *worlds {
            client.hear(&std::mem::take(&mut socket.lock().written));
            client.send();
            goes_on |= !client.says.is_empty();
            let said = client.says.split();
            socket.change(|state| state.arrived.extend(&said));
        }
        sleep(SOON).await;
        for world in &mut *worlds {
            goes_on |= world.goes().await;
        }
        if !goes_on && worlds.iter().all(|world| world.socket.lock().written.is_empty()) {
            return;
        }
    }
}

impl World {
    fn alone() -> World {
        let socket = Socket::default();
        let library = serve(Box::new(socket.clone()));
        World {
            client: Client::new(),
            socket,
            library,
            control: None,
            leaves: None,
            honest: true,
            whole: true,
            calm: true,
        }
    }

    fn gated() -> World {
        let mut world = World::alone();
        world.place(None);
        world
    }

    /// In a process.
    fn place(&mut self, state: Option<Bytes>) {
        self.library.abort();
        let (io, control) = GATES.place(Box::new(self.socket.clone()), state).expect("it was just written");
        (self.library, self.control) = (serve(io), Some(control.into()));
    }

    /// Goes to the next process, if it has been taken for that.
    async fn goes(&mut self) -> bool {
        let Some(leaves) = self.leaves.take_if(|leaves| leaves.is_finished()) else { return false };
        // `None`: it will never be quiet, or has streams that do not end.
        let taken = leaves.await.expect("it does not panic");
        if let Some(state) = &taken {
            GATES.check(state).expect("the library is the same");
            self.place(taken.clone());
        }
        taken.is_some()
    }

    /// If it has not been taken.
    fn stays(&mut self) {
        self.leaves.take_if(|leaves| !leaves.is_finished()).into_iter().for_each(|leaves| leaves.abort());
    }

    fn step<'input>(&mut self, what: u8, how: u8, behind: &'input [u8]) -> &'input [u8] {
        let client = &mut self.client;
        match what {
            b'q' => client.ask(how),
            b'b' => client.send_body(how),
            b'x' => client.reset(how),
            b'p' => client.control(how),
            b's' => client.change_settings(how),
            b'g' => client.grant(u32::from(how) * 100 + 1),
            b'r' => {
                self.calm = false;
                self.socket.change(|state| state.room = (how < 200).then_some(usize::from(how) * 20));
            }
            b'm' => {
                self.calm = false;
                if let (Some(control), None) = (&self.control, &self.leaves) {
                    let control = Arc::clone(control);
                    let leaves = async move { if control.quiet().await { control.take() } else { None } };
                    self.leaves = Some(tokio::spawn(leaves));
                }
            }
            b'u' => self.stays(),
            // Anything at all; and a frame of any kind.
            b'!' => {
                (self.honest, self.whole) = (false, false);
                let (any, behind) = behind.split_at(behind.len().min(how.into()));
                client.says.put_slice(any);
                return behind;
            }
            b'#' => {
                self.honest = false;
                let Some((&[kind, flags, stream], behind)) = behind.split_first_chunk() else { return &[] };
                let (some, behind) = behind.split_at(behind.len().min(how.into()));
                let mut payload = some.to_vec();
                payload.resize(how.into(), 0);
                put(&mut client.says, kind, flags, stream.into(), &payload);
                return behind;
            }
            _ => {}
        }
        behind
    }
}

fn serve(io: Box<dyn Transport>) -> JoinHandle<()> {
    // Without PINGs and dates.
    let timeouts = ClientTimeouts { idle: Duration::MAX, ..ClientTimeouts::default() };
    let mut library = http2_library(&timeouts);
    let connection = library.auto_date_header(false).serve_connection(TokioIo::new(io), service_fn(answer));
    tokio::spawn(async move { drop(connection.await) })
}

/// Does what the path says.
async fn answer(
    request: Request<Incoming>,
) -> Result<Response<BoxBody<Bytes, hyper::Error>>, Box<dyn Error + Send + Sync>> {
    let path = request.uri().path().get(1..).unwrap_or("");
    let plan = u8::from_str_radix(path, 16).unwrap_or(0) / 4;
    let response = Response::builder().status([200, 404, 299][usize::from(plan % 3)]).header("plan", u16::from(plan));
    sleep(Duration::from_millis([0, 0, 0, 100, 300][usize::from(plan % 5)])).await;
    let body = request.into_body();
    let full = |length| Full::new(Bytes::from(vec![plan; length])).map_err(|never| match never {}).boxed();
    let body = match plan / 16 {
        // What comes is sent back, trailers too.
        0 => body.boxed(),
        1 => full(body.collect().await?.to_bytes().len()),
        // It is not read.
        2 => full(usize::from(plan).pow(2) * 20),
        _ => return Err("this fails".into()),
    };
    Ok(response.body(body)?)
}

/// Compares what the clients were answered.
fn check([moved, alone]: &[World; 2]) {
    // What hyper says to a frame that should not be depends on when it comes, and on streams that a process before had.
    if !moved.honest && !moved.calm {
        return;
    }
    assert!(!moved.client.overrun || !moved.honest, "the client is sent more than it takes");
    assert_eq!(moved.client.goaway, alone.client.goaway, "one says goodbye otherwise");
    assert_eq!(moved.library.is_finished(), alone.library.is_finished(), "one goes on");
    // How far an answer comes that is cut short depends on when that is. And on windows that never grow again, because the client has
    // not ended a frame, it depends on which answer came first.
    let refused = moved.client.goaway.is_some_and(|code| code != 0);
    let none = Answer::default();
    for stream in moved.client.answers.keys().chain(alone.client.answers.keys()) {
        let [one, other] = [moved, alone].map(|world| world.client.answers.get(stream).unwrap_or(&none));
        let comes_all = moved.whole || one.ended && other.ended;
        let same = if refused || !comes_all || moved.client.cut.contains(stream) {
            one.begins(other) || other.begins(one)
        } else {
            one == other
        };
        assert!(same, "stream {stream}: {one:?}, and alone {other:?}");
    }
    assert!(refused || moved.client.pongs == alone.client.pongs, "a PING is answered otherwise");
}
