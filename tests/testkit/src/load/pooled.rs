//! HTTP/1.1 as applications speak it.
//!
//! The invariant: reqwest with its defaults, whatever it hides ([`Client::Pooled`](super::Client::Pooled) says what);
//! except that it ignores a proxy from the environment, which would be another server to measure.

use bytes::Bytes;
use hyper::Response;
use hyper::header::{CONNECTION, HeaderMap, HeaderValue};
use reqwest::{Body, Client, Method};

use super::answer::{Answer, Loss, causes};
use super::plan::{Plan, Target};
use super::tally::Tally;
use super::worker::Ask;

#[derive(Debug)]
pub(super) struct Pooled {
    client: Client,
    url: String,
    echo: Option<Bytes>,
}

impl Pooled {
    pub(super) fn new(plan: &Plan) -> Pooled {
        let mut builder = Client::builder().no_proxy();
        if let Target::Unix(path) = &plan.target {
            builder = builder.unix_socket(path.clone());
        }
        if plan.per_request {
            let close = HeaderMap::from_iter([(CONNECTION, HeaderValue::from_static("close"))]);
            builder = builder.pool_max_idle_per_host(0).default_headers(close);
        }
        let client = builder.build().expect("a client without TLS needs nothing from the machine");
        let url = format!("http://{}{}", plan.target.authority(), plan.request.path);
        Pooled { client, url, echo: plan.request.echo.clone() }
    }
}

impl Ask for Pooled {
    async fn ask(&mut self, _tally: &mut Tally) -> Result<Answer, Loss> {
        let request = match &self.echo {
            Some(body) => self.client.request(Method::POST, &self.url).body(body.clone()),
            None => self.client.request(Method::GET, &self.url),
        };
        let response = request.send().await.map_err(|error| {
            let reason = causes(&error);
            if error.is_connect() { Loss::Refused(reason) } else { Loss::CutOff(reason) }
        })?;
        Answer::read(Response::<Body>::from(response), self.echo.as_ref()).await
    }

    async fn leave(self, _tally: &mut Tally) {}
}
