//! Serves the book to the browser, with the server that the book is about.
//!
//! The invariant: what is served is a file of the built book, as it is.

use std::convert::Infallible;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use bytes::Bytes;
use graceful_shutdown::{Address, Server};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, header};

/// A server on the loopback, on any free port.
pub(crate) struct Host {
    /// Serves for as long as it exists.
    _server: Server,
    address: Address,
}

impl Host {
    /// Serves what is in `directory`.
    pub(crate) fn of(directory: &Path) -> Host {
        let listener = "127.0.0.1:0".parse::<Address>().expect("an address").bind().expect("any port will do");
        let address = listener.address().expect("it is bound");
        let directory = Arc::<Path>::from(directory);
        let files = service_fn(move |request: Request<Incoming>| {
            let answer = answer(&directory, request.uri().path());
            async { Ok::<_, Infallible>(answer) }
        });
        let server = Server::new();
        server.serve(listener, files).expect("the runtime waits on it");
        Host { _server: server, address }
    }

    /// Where a browser finds `page`.
    pub(crate) fn url(&self, page: &str) -> String {
        format!("http://{}/{page}", self.address)
    }
}

fn answer(directory: &Path, path: &str) -> Response<Full<Bytes>> {
    let path = PathBuf::from(path.trim_start_matches('/'));
    let inside = path.components().all(|part| matches!(part, Component::Normal(_)));
    let file = if inside { fs::read(directory.join(&path)) } else { Err(io::ErrorKind::NotFound.into()) };
    let mut answer = Response::new(Full::default());
    match file {
        Ok(file) => {
            *answer.body_mut() = Full::from(file);
            answer.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(media_type(&path)));
        }
        Err(_) => *answer.status_mut() = StatusCode::NOT_FOUND,
    }
    answer
}

/// What a browser needs to be told: without its type, it does not use a style sheet or a picture.
fn media_type(path: &Path) -> &'static str {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css",
        Some("js") => "text/javascript",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("woff2") => "font/woff2",
        _ => "application/octet-stream",
    }
}
