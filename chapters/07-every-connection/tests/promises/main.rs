//! What chapter 7 promises, checked against the real program: HTTP/2 connections and websockets, too, stay open
//! through upgrades.
//!
//! No test sleeps to let something happen. The first part of an answer shows that its request is under way; the log
//! line `draining`, that a drain has begun; the end of the process, that it is over.

mod client;
mod clients;
#[path = "../go/mod.rs"]
mod go;
mod load;
mod moves;
mod rooms;
mod rooms_load;
mod server;
mod servers;
mod stays;
mod websocket;
mod websocket_clients;
mod websockets;
mod websockets_load;
