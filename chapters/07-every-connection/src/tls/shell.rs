//! The handshake, and then the machine, between a socket and what speaks HTTP.
//!
//! The invariant: what is sealed is sent, in order and once, before more is sealed; and no more than a record is read ahead.

use std::io::{self, IoSlice};
use std::mem::replace;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use rustls::ServerConfig;
use rustls::server::NoServerSessionStorage;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

use super::handshake::Handshake;
use super::machine::Opened;
use super::ownership::{Arrival, Offer};
use super::phase::{Phase, invalid};
use super::record::MOST;
use super::tickets::Tickets;

type Polled<T> = Poll<io::Result<T>>;

trait Socket: AsyncRead + AsyncWrite + Unpin {}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket for S {}

/// TLS 1.3 for the connections of a server.
#[derive(Clone, Debug)]
pub struct Tls {
    config: Arc<ServerConfig>,
    resumes: bool,
}

impl Tls {
    /// With this configuration. If it allows TLS 1.2, too, such connections stay in the process that accepts them. If it names no
    /// protocols (ALPN), they are `h2` and `http/1.1`. Its key log stays empty, and there is no early data.
    #[must_use]
    pub fn new(mut config: ServerConfig) -> Tls {
        if config.alpn_protocols.is_empty() {
            config.alpn_protocols = ["h2", "http/1.1"].map(Into::into).to_vec();
        }
        config.max_early_data_size = 0;
        Tls { config: Arc::new(config), resumes: false }
    }

    /// Lets sessions of TLS 1.3 that began in one process resume in another, and none of TLS 1.2. Does nothing if the configuration
    /// makes tickets already.
    ///
    /// A client that resumes shows no certificate, whatever this version would ask it for. So this is for listeners on which no
    /// version asks for one.
    #[must_use]
    pub fn resuming(self) -> Tls {
        Tls { resumes: true, ..self }
    }

    pub(super) fn share_tickets(&mut self, listener: &str, secret: &[u8]) {
        if self.resumes && !self.config.ticketer.enabled() {
            let config = Arc::make_mut(&mut self.config);
            config.ticketer = Arc::new(Tickets::new(listener, secret));
            config.session_storage = Arc::new(NoServerSessionStorage {});
        }
    }

    #[cfg(test)]
    pub(super) fn makes_tickets(&self) -> bool {
        self.config.ticketer.enabled()
    }

    /// A connection that was just accepted. The handshake happens as it is read or written.
    pub fn accept<S>(&self, socket: S) -> TlsStream<S> {
        // `Err`: the configuration is of no use.
        let handshake = Handshake::new(&self.config).map(Box::new);
        TlsStream::new(socket, handshake.map_or(Phase::Failed, Phase::Handshake))
    }
}

/// What is said on a connection, in plain.
pub struct TlsStream<S> {
    socket: S,
    phase: Phase,
    /// Opened, and not read yet.
    plain: BytesMut,
    /// A task waits until it can write. The socket wakes one task only; so what reads must not wait for the same then.
    writer_waits: bool,
}

impl<S> TlsStream<S> {
    /// Takes a connection over. Only after the process that has offered it was told so.
    pub fn taken(arrival: Arrival, socket: S) -> TlsStream<S> {
        TlsStream::new(socket, Phase::Open(arrival.taken()))
    }

    /// Goes on with a connection that the next process has declined; not with one about which it has said nothing.
    pub fn declined(offer: Offer, socket: S) -> TlsStream<S> {
        TlsStream::new(socket, Phase::Open(offer.declined()))
    }

    fn new(socket: S, phase: Phase) -> TlsStream<S> {
        TlsStream { socket, phase, plain: BytesMut::new(), writer_waits: false }
    }

    /// What is below.
    pub fn get_ref(&self) -> &S {
        &self.socket
    }

    /// Takes the connection apart: the socket, what the next process has to be told, and what was opened and not read.
    ///
    /// # Errors
    /// If its handshake is not over, if what was written is not flushed, or if a side has closed it: gives it back.
    pub fn offer(mut self) -> Result<(S, Offer, Bytes), TlsStream<S>> {
        self.phase = match self.phase {
            Phase::Open(machine) => match machine.offer() {
                Ok(offer) => return Ok((self.socket, offer, self.plain.freeze())),
                Err(machine) => Phase::Open(machine),
            },
            phase => phase,
        };
        Err(self)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream<S> {
    /// Ready when both sides have agreed on their keys.
    ///
    /// # Errors
    /// If they do not. The client was told why.
    pub fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Phase::Handshake(handshake) = &mut self.phase {
            let advanced = handshake.advance();
            // What rustls has to say, even if it is why the handshake has failed.
            let sent = poll_send(&mut self.socket, &mut handshake.to_client, cx);
            if let Ok(false) = advanced {
                let _ = sent?;
                ready!(poll_fill(&mut self.socket, &mut handshake.received, cx))?;
            } else if let Phase::Handshake(handshake) = replace(&mut self.phase, Phase::Failed) {
                advanced.map_err(invalid)?;
                self.phase = handshake.finish().map_err(invalid)?;
            }
        }
        Poll::Ready(if let Phase::Failed = self.phase { Err(io::ErrorKind::NotConnected.into()) } else { Ok(()) })
    }

    /// Sends what is sealed, as far as the socket takes it.
    fn poll_sealed(&mut self, cx: &mut Context<'_>) -> Polled<()> {
        if let Some((_, to_client)) = self.phase.buffers() {
            self.writer_waits = true;
            ready!(poll_send(&mut self.socket, to_client, cx))?;
            self.writer_waits = false;
        }
        Poll::Ready(Ok(()))
    }
}

fn poll_send(socket: &mut impl Socket, bytes: &mut BytesMut, cx: &mut Context<'_>) -> Polled<()> {
    while !bytes.is_empty() {
        match ready!(Pin::new(&mut *socket).poll_write(cx, bytes))? {
            0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            written => bytes.advance(written),
        }
    }
    // An empty buffer owns memory, too, for as long as the connection is idle.
    *bytes = BytesMut::new();
    Poll::Ready(Ok(()))
}

/// Receives more, but no more than a record.
fn poll_fill(socket: &mut impl Socket, bytes: &mut BytesMut, cx: &mut Context<'_>) -> Polled<()> {
    let room = MOST - bytes.len();
    bytes.reserve(room);
    let read = pin!(socket.read_buf(&mut (&mut *bytes).limit(room))).poll(cx)?;
    if bytes.is_empty() {
        *bytes = BytesMut::new();
    }
    match ready!(read) {
        // Whatever comes from the network can say that the client has closed its side. Only an alert proves it.
        0 => Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
        _ => Poll::Ready(Ok(())),
    }
}

impl<S: Socket> AsyncRead for TlsStream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Polled<()> {
        ready!(self.poll_handshake(cx))?;
        let TlsStream { socket, phase, plain, writer_waits } = &mut *self;
        loop {
            if !plain.is_empty() {
                buf.put_slice(&plain.split_to(plain.len().min(buf.remaining())));
                if plain.is_empty() {
                    *plain = BytesMut::new();
                }
                return Poll::Ready(Ok(()));
            }
            let opened = phase.open();
            if !*writer_waits {
                phase.answer();
            }
            let Some((received, to_client)) = phase.buffers() else {
                return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
            };
            if !*writer_waits {
                // If this fails, a write will, too; there may still be something to read.
                let _ = poll_send(socket, to_client, cx);
            }
            match opened? {
                Opened::Data(data) => *plain = data,
                Opened::Nothing => ready!(poll_fill(socket, received, cx))?,
                Opened::End => return Poll::Ready(Ok(())),
            }
        }
    }
}

impl<S: Socket> AsyncWrite for TlsStream<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Polled<usize> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Polled<usize> {
        ready!(self.poll_handshake(cx))?;
        ready!(self.poll_sealed(cx))?;
        let Some(written) = self.phase.write(bufs) else { return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())) };
        // What the socket does not take now is sent by the next write, or a flush.
        let _ = self.poll_sealed(cx)?;
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled<()> {
        ready!(self.poll_sealed(cx))?;
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled<()> {
        self.phase.close();
        ready!(self.poll_sealed(cx))?;
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
