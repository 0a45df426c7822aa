//! What an heir may do with the connections that it is offered. (Chapter 5 has one that hands them to another process.)

use std::io::Read as _;
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use graceful_shutdown::{Heir, Idle, Offer, Outcome, Server};
use lab::Wire;

use crate::library::{A_LONG_TIME, bind, hello};

/// An heir that is never in a hurry to decide.
#[derive(Debug)]
struct Thinks {
    offered: Sender<Offer>,
    offers: Mutex<Receiver<Offer>>,
}

impl Heir for Thinks {
    fn take(&self, offer: Offer) {
        self.offered.send(offer).expect("we have the other end");
    }

    fn at_a_time(&self) -> usize {
        1
    }
}

impl Thinks {
    fn new() -> Arc<Thinks> {
        let (offered, offers) = channel();
        Arc::new(Thinks { offered, offers: Mutex::new(offers) })
    }

    /// The next offer, which somebody else is to decide about.
    fn next(&self) -> Offer {
        self.offers.lock().expect("no panic").recv_timeout(A_LONG_TIME).expect("a connection's turn comes")
    }
}

impl Drop for Thinks {
    fn drop(&mut self) {
        self.offers.get_mut().expect("no panic").try_iter().for_each(Offer::decline);
    }
}

/// A server that hands over its connections, and its clients: one for each of these listeners.
fn handing_over(listeners: &[&'static str]) -> (Server, Arc<Thinks>, Vec<(&'static str, Wire)>) {
    let server = Server::new();
    let clients = listeners.iter().map(|name| {
        let (listener, address) = bind();
        server.serve_named(name, listener, hello()).expect("the runtime waits on it");
        let mut client = Wire::connect(&address);
        assert_eq!(client.ask("/").status, 200);
        (*name, client)
    });
    let clients = clients.collect();
    let heir = Thinks::new();
    server.hand_over(Arc::clone(&heir) as Arc<dyn Heir>);
    (server, heir, clients)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_is_offered_when_the_heir_has_decided_about_the_one_before() {
    let (server, heir, mut clients) = handing_over(&["zero", "first", "second"]);
    let offer = heir.next();
    clients.retain(|(name, _)| *name != &*offer.idle().listener);
    for (_, client) in &mut clients {
        assert!(!client.ask("/").says_close(), "the others are served as always");
    }
    // Taken or declined, the next one's turn comes.
    drop(offer);
    heir.next().decline();
    heir.next().decline();
    for (_, client) in &mut clients {
        assert!(client.ask("/").says_close(), "what the heir declines is served on, and closed politely");
    }
    drop(clients);
    assert_eq!(server.shutdown(A_LONG_TIME).await, Outcome { finished: 4, cut: 0 });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_open_until_the_heir_has_decided_and_is_not_closed_if_it_takes_it() {
    for takes in [true, false] {
        let (server, heir, mut clients) = handing_over(&["zero"]);
        let offer = heir.next();
        assert_eq!((&*offer.idle().listener, &*offer.idle().unparsed), ("zero", &b""[..]));
        let mut socket = TcpStream::from(offer.idle().socket.try_clone().expect("there are descriptors left"));
        let undecided = (!takes).then_some(offer);
        let outcome = server.shutdown(if takes { A_LONG_TIME } else { Duration::ZERO }).await;
        assert_eq!(outcome, Outcome { finished: 0, cut: usize::from(!takes) });
        drop(undecided);
        clients[0].1.get("/");
        socket.set_nonblocking(false).expect("it is a socket");
        socket.set_read_timeout(Some(A_LONG_TIME)).expect("it is a socket");
        assert_eq!(socket.read(&mut [0; 5]).expect("somebody else has it"), 5);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_read_of_a_declined_connection_is_read_again_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("any port will do");
    let mut client = Wire::connect(&listener.local_addr().expect("it is bound").to_string());
    let (socket, _) = listener.accept().expect("the client has connected");
    let server = Server::new();
    socket.set_nonblocking(true).expect("it is a socket");
    let idle = Idle { listener: "zero".into(), socket: socket.into(), unparsed: Bytes::from_static(b"GET / HT") };
    let begin = server.adopt(idle, hello()).expect("the runtime waits on it");
    let heir = Thinks::new();
    server.hand_over(Arc::clone(&heir) as Arc<dyn Heir>);
    begin();
    let offer = heir.next();
    assert_eq!(&*offer.idle().unparsed, b"GET / HT");
    client.send("TP/1.1\r\nHost: localhost\r\n\r\n");
    let declined = Instant::now();
    offer.decline();
    assert!(client.reply().says_close());
    // Which is how long a silent client is waited for.
    assert!(declined.elapsed() < Duration::from_secs(2), "half a head was taken for silence");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_back_from_a_drain_that_was_called_off_is_kept_alive() {
    let (server, heir, mut clients) = handing_over(&["zero"]);
    let offer = heir.next();
    server.resume();
    offer.decline();
    for _ in 0..2 {
        assert!(!clients[0].1.ask("/").says_close());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_heir_has_not_decided_at_the_deadline_is_cut() {
    for (sent, cut) in [("", 0), ("GET / HT", 1)] {
        let (server, heir, mut clients) = handing_over(&["zero"]);
        clients[0].1.send(sent);
        // The heir knows of it, and the server's is the last heir.
        heir.take(heir.next());
        drop(heir);
        assert_eq!(server.shutdown(Duration::ZERO).await, Outcome { finished: 0, cut }, "after {sent:?}");
        // And closed, or this never ends.
        clients[0].1.rest();
    }
}
