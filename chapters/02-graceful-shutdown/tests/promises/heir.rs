//! What an heir may do with the connections that it is offered. (Chapter 5 has one that hands them to another process.)

use std::io::Read as _;
use std::net::TcpStream;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use graceful_shutdown::{Heir, Offer, Outcome, Server};
use lab::Wire;

use tokio::time::timeout;

use crate::library::{A_LONG_TIME, bind, hello};

/// An heir that is never in a hurry to decide.
#[derive(Debug)]
struct Thinks {
    offers: Mutex<Vec<Offer>>,
    offered: mpsc::Sender<()>,
}

impl Heir for Thinks {
    fn take(&self, offer: Offer) {
        self.offers.lock().expect("no panic").push(offer);
        self.offered.send(()).expect("the test listens");
    }

    fn at_a_time(&self) -> usize {
        1
    }
}

impl Thinks {
    fn next(&self) -> Offer {
        self.offers.lock().expect("no panic").pop().expect("it was offered")
    }
}

impl Drop for Thinks {
    fn drop(&mut self) {
        self.offers.get_mut().expect("no panic").drain(..).for_each(Offer::decline);
    }
}

/// A server with so many idle connections that hands them over.
fn handing_over(clients: usize) -> (Server, Arc<Thinks>, mpsc::Receiver<()>, Vec<Wire>) {
    let (listener, address) = bind();
    let server = Server::new();
    server.serve_named("zero", listener, hello()).expect("the runtime waits on it");
    let clients = (0..clients).map(|_| {
        let mut client = Wire::connect(&address);
        assert_eq!(client.ask("/").status, 200);
        client
    });
    let clients = clients.collect();
    let (offered, offers) = mpsc::channel();
    let heir = Arc::new(Thinks { offers: Mutex::default(), offered });
    server.hand_over(Arc::clone(&heir) as Arc<dyn Heir>);
    (server, heir, offers, clients)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_one_is_offered_when_the_heir_has_decided_and_one_that_is_declined_is_served_on() {
    let (server, heir, offers, clients) = handing_over(2);
    offers.recv().expect("the first one's turn comes");
    let first = heir.next();
    assert!(offers.try_recv().is_err(), "it was to be one at a time");
    first.decline();
    offers.recv().expect("the second one's turn comes");
    heir.next().decline();
    for mut client in clients {
        assert!(client.ask("/").says_close(), "it is closed politely");
    }
    assert_eq!(server.shutdown(A_LONG_TIME).await, Outcome { finished: 2, cut: 0 });
    drop(heir);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_drain_is_over_when_the_heir_has_taken_the_last_one() {
    let (server, heir, offers, mut clients) = handing_over(1);
    offers.recv().expect("its turn comes");
    let offer = heir.next();
    assert_eq!((&*offer.idle().listener, &*offer.idle().unparsed), ("zero", &b""[..]));
    let socket = offer.idle().socket.try_clone().expect("there are descriptors left");
    timeout(Duration::ZERO, server.drained()).await.expect_err("nobody has decided yet");
    drop(offer);
    timeout(A_LONG_TIME, server.drained()).await.expect("it is somebody else's now");
    let mut client = clients.remove(0);
    client.get("/");
    assert_eq!(TcpStream::from(socket).read(&mut [0; 5]).expect("it was not closed"), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_heir_has_not_taken_at_the_deadline_is_cut() {
    for (sent, cut) in [("", 0), ("GET / HT", 1)] {
        let (server, heir, offers, mut clients) = handing_over(1);
        clients[0].send(sent);
        offers.recv().expect("its turn comes");
        // The server's is the last one.
        drop(heir);
        assert_eq!(server.shutdown(Duration::ZERO).await, Outcome { finished: 0, cut }, "after {sent:?}");
        // And closed, or this never ends.
        clients[0].rest();
    }
}
