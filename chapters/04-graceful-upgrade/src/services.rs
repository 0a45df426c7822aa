//! Chapter 2's server, as an upgrader drives it: with a service for each listener, by name.
//!
//! The invariant: a listener is only ever served by the service of its own name.

use std::collections::BTreeMap;
use std::io;

use graceful_shutdown::{ClientTimeouts, HttpService, Listener, Outcome, Server};

use crate::serve::{Named, Serve};

type Start = Box<dyn Fn(&Server, Listener, Queue) -> io::Result<()> + Send + Sync>;

/// Which connections of a listener to take.
enum Queue {
    /// All that will come.
    AllToCome,
    /// Those that wait now, then close it.
    WhatIsThere,
}

/// HTTP services, by the names of their listeners.
#[derive(Default)]
pub struct Services {
    server: Server,
    by_name: BTreeMap<String, Start>,
}

impl Services {
    /// None yet.
    #[must_use]
    pub fn new() -> Services {
        Services::default()
    }

    /// See [`Server::with_timeouts`].
    #[must_use]
    pub fn with_timeouts(self, timeouts: ClientTimeouts) -> Services {
        Services { server: self.server.with_timeouts(timeouts), ..self }
    }

    /// Serves the listener `name` with `service`.
    pub fn add<S: HttpService>(&mut self, name: impl Into<String>, service: S) {
        let start = move |server: &Server, listener, queue| match queue {
            Queue::AllToCome => server.serve(listener, service.clone()),
            Queue::WhatIsThere => server.answer_queue(listener, service.clone()),
        };
        self.by_name.insert(name.into(), Box::new(start));
    }

    /// See [`Server::readiness`].
    pub fn readiness(&self) -> impl Fn() -> bool + Clone + Send + Sync + use<> {
        self.server.readiness()
    }

    fn start(&self, (name, listener): Named, queue: Queue) -> io::Result<()> {
        let start =
            self.by_name.get(&name).ok_or_else(|| io::Error::other(format!("no service is called {name:?}")))?;
        start(&self.server, listener, queue)
    }
}

impl Serve for Services {
    fn accept(&mut self, listeners: Vec<Named>) -> io::Result<()> {
        listeners.into_iter().try_for_each(|named| self.start(named, Queue::AllToCome))
    }

    fn retire(&mut self, abandoned: Vec<Named>) {
        self.server.retire();
        for named in abandoned {
            if let Err(error) = self.start(named, Queue::WhatIsThere) {
                tracing::warn!(%error, "the connections in the queue of an abandoned listener are reset");
            }
        }
    }

    fn stop(&mut self) {
        self.server.stop();
    }

    async fn drained(&mut self) {
        self.server.drained().await;
    }

    async fn cut(&mut self) -> Outcome {
        self.server.cut().await
    }
}
