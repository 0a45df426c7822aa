//! hyper, and a service that does what the path of a request says: `/ANSWER/READS/DELAY/NUMBER`.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::body::{Body, Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// What the handlers of one case share.
#[derive(Default)]
pub(crate) struct World {
    /// Handlers wait for it to advance.
    pub(crate) clock: AtomicU64,
    /// When the last of those that wait goes on.
    pub(crate) busy_until: AtomicU64,
    /// What they have seen.
    pub(crate) seen: Mutex<Vec<String>>,
    /// Tasks beside the connection: upgraded connections.
    pub(crate) tasks: Mutex<Vec<Pin<Box<dyn Future<Output = ()> + Send>>>>,
}

async fn wait(world: &World, ticks: u64) {
    let until = world.clock.load(SeqCst) + ticks;
    world.busy_until.fetch_max(until, SeqCst);
    poll_fn(|_| if world.clock.load(SeqCst) < until { Poll::Pending } else { Poll::Ready(()) }).await;
}

/// Whether a request among these bytes may ask for an upgrade.
pub(crate) fn upgrades(bytes: &[u8]) -> bool {
    bytes.windows(2).any(|two| two == b"/u" || two == b" u")
}

type Answer = Response<BoxBody<Bytes, Infallible>>;

async fn handle(world: Arc<World>, mut request: Request<Incoming>) -> Result<Answer, Infallible> {
    let name = format!("{} {}", request.method(), request.uri());
    let target = request.uri().to_string();
    let mut plan = target.chars().filter(char::is_ascii_alphanumeric);
    let [answer, reads, delay] = [(); 3].map(|()| plan.next().unwrap_or('0'));
    // See `upgrades`.
    let answer = if answer == 'u' && !target.starts_with("/u") && !target.starts_with('u') { 'f' } else { answer };
    let upgrade = (answer == 'u').then(|| hyper::upgrade::on(&mut request));
    let mut body = request.into_body();
    let mut seen = String::new();
    match reads {
        'p' => drop(body.frame().await),
        'n' => drop(body),
        'l' | 'h' => {
            // The request is answered at once, and its body is read later.
            let number = note(&world, format!("late {name} …"));
            let late = Arc::clone(&world);
            locked_tasks(&world).push(Box::pin(async move {
                wait(&late, if reads == 'h' { 5 } else { 0 }).await;
                let text = read(&mut body).await;
                late.seen.lock().expect("one thread holds the lock")[number] = format!("late {name} {text}");
            }));
            wait(&world, delay.to_digit(10).unwrap_or(0).into()).await;
            return Ok(compose(&world, answer, "late", upgrade));
        }
        _ => seen = read(&mut body).await,
    }
    note(&world, format!("{name} {seen}"));
    wait(&world, delay.to_digit(10).unwrap_or(0).into()).await;
    Ok(compose(&world, answer, &format!("{name} {}", seen.len()), upgrade))
}

async fn read(body: &mut Incoming) -> String {
    let mut bytes = Vec::new();
    loop {
        match body.frame().await {
            Some(Ok(frame)) => bytes.extend_from_slice(frame.data_ref().map_or(b"[trailers]", |data| data)),
            Some(Err(_)) => return format!("{} broken", String::from_utf8_lossy(&bytes)),
            None => return String::from_utf8_lossy(&bytes).into_owned(),
        }
    }
}

fn note(world: &World, seen: String) -> usize {
    let mut list = world.seen.lock().expect("one thread holds the lock");
    list.push(seen);
    list.len() - 1
}

pub(crate) fn locked_tasks(world: &World) -> MutexGuard<'_, Vec<Pin<Box<dyn Future<Output = ()> + Send>>>> {
    world.tasks.lock().expect("one thread holds the lock")
}

fn compose(world: &Arc<World>, answer: char, text: &str, upgrade: Option<hyper::upgrade::OnUpgrade>) -> Answer {
    let full = |text: String| Full::new(Bytes::from(text)).boxed();
    match answer {
        'e' => Response::new(Empty::new().boxed()),
        'c' => {
            // A stream that takes its time.
            let (world, mut left, mut next) = (Arc::clone(world), 3, 0);
            let text = text.to_owned();
            Response::new(
                Stream(move || {
                    if left == 0 {
                        return Poll::Ready(None);
                    }
                    if world.clock.load(SeqCst) < next {
                        return Poll::Pending;
                    }
                    left -= 1;
                    next = world.clock.load(SeqCst) + 1;
                    world.busy_until.fetch_max(next, SeqCst);
                    Poll::Ready(Some(Ok(Frame::data(Bytes::from(format!("{text} {left}\r\n"))))))
                })
                .boxed(),
            )
        }
        '4' => Response::builder().status(404).body(full(text.to_owned())).expect("a response"),
        'n' => Response::builder().status(204).body(Empty::new().boxed()).expect("a response"),
        'm' => {
            Response::builder().status(304).header("content-length", 5).body(Empty::new().boxed()).expect("a response")
        }
        'k' => Response::builder().header("connection", "close").body(full(text.to_owned())).expect("a response"),
        'w' => Response::new(full(text.repeat(500))),
        'i' => Response::builder().version(hyper::Version::HTTP_10).body(full(text.to_owned())).expect("a response"),
        'u' => {
            if let Some(upgrade) = upgrade {
                locked_tasks(world).push(Box::pin(async move {
                    let Ok(upgraded) = upgrade.await else { return };
                    let mut io = TokioIo::new(upgraded);
                    let mut bytes = [0; 64];
                    while let Ok(length @ 1..) = io.read(&mut bytes).await {
                        if io.write_all(&bytes[..length]).await.is_err() {
                            return;
                        }
                    }
                    let _ = io.shutdown().await;
                }));
            }
            let response = Response::builder().status(101).header("upgrade", "echo").header("connection", "upgrade");
            response.body(Empty::new().boxed()).expect("a response")
        }
        _ => Response::new(full(text.to_owned())),
    }
}

struct Stream<F>(F);

impl<F: FnMut() -> Poll<Option<Result<Frame<Bytes>, Infallible>>> + Unpin> Body for Stream<F> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        (self.0)()
    }
}

pub(crate) type Connection = Pin<Box<dyn Future<Output = ()>>>;

pub(crate) fn hyper(world: &Arc<World>, io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Connection {
    let world = Arc::clone(world);
    let service = service_fn(move |request| handle(Arc::clone(&world), request));
    let mut builder = http1::Builder::new();
    let connection =
        builder.auto_date_header(false).half_close(true).serve_connection(TokioIo::new(io), service).with_upgrades();
    Box::pin(async move {
        let _ = connection.await;
    })
}
