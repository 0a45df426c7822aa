//! What is tried.

mod address;
mod control_answer;
mod control_request;
mod counters_page;
mod duration;
mod gate;
mod generations;
mod http2;
mod listen_environment;
#[cfg(feature = "tls")]
mod tls;
mod transfer;
mod websocket;
mod wire;

/// The name, which is that of a folder in `corpus`, too; and what panics if an input does what it should not.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: &[Target] = &[
    ("address", address::run),
    ("control_answer", control_answer::run),
    ("control_request", control_request::run),
    ("counters_page", counters_page::run),
    ("duration", duration::run),
    ("gate", gate::run),
    ("generations", generations::run),
    ("http2", http2::run),
    ("http2_hyper", http2::hyper::run),
    ("http2_state", http2::run_state),
    ("listen_environment", listen_environment::run),
    #[cfg(feature = "tls")]
    ("tls", tls::run),
    #[cfg(feature = "tls")]
    ("tls_state", tls::run_state),
    ("transfer", transfer::run),
    ("websocket", websocket::run),
];
