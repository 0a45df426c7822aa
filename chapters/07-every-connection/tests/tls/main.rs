//! TLS 1.3 across the upgrade: each client has one connection from the first request to the last, and checks the certificate
//! once.

mod chromium;
mod client;
mod clients;
#[path = "../go/mod.rs"]
mod go;
mod memory;
mod openssl;
mod page;
mod server;
mod steps;
mod tickets;
mod tls12;
mod versions;
mod websockets;
