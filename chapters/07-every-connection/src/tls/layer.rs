//! TLS for the listeners of a server.
//!
//! The invariant: a connection that arrives is written to only after the old process was told that it is taken.

use std::io;
use std::task::{Context, Poll};

use connection_handover::{TlsLayer, TlsOffer, TlsSocket, Wrap};
use graceful_shutdown::Stream;

use super::ownership::Arrival;
use super::shell::{Tls, TlsStream};

impl TlsLayer for Tls {
    fn share(&mut self, listener: &str, secret: &[u8]) {
        self.share_tickets(listener, secret);
    }

    fn accept(&self) -> Wrap {
        let tls = self.clone();
        Box::new(move |socket| Box::new(tls.accept(socket)))
    }

    fn adopt(&self, message: &[u8]) -> Option<Wrap> {
        let arrival = Arrival::read(message)?;
        Some(Box::new(|socket| Box::new(TlsStream::taken(arrival, socket))))
    }
}

impl TlsSocket for TlsStream<Stream> {
    fn socket(&self) -> &Stream {
        self.get_ref()
    }

    fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        TlsStream::poll_handshake(self, cx)
    }

    fn offer(self: Box<Self>) -> Result<(Stream, TlsOffer), Box<dyn TlsSocket>> {
        let (socket, offer, unread) =
            TlsStream::offer(*self).map_err(|stays| -> Box<dyn TlsSocket> { Box::new(stays) })?;
        let message = offer.message();
        let declined: Wrap = Box::new(|socket| Box::new(TlsStream::declined(offer, socket)));
        Ok((socket, TlsOffer { message, unread, declined: Some(declined) }))
    }
}
