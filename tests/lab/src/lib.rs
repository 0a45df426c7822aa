//! The lab: what an upgrade costs the clients of a server, shown, compared and drawn.
//!
//! The invariant of this crate: what it says of a server is what clients saw, in a run that can be repeated.
//!
//! | to … | use |
//! | --- | --- |
//! | upgrade a server again and again under load, and print what the clients noticed | [`upgrade_run`], [`report`] |
//! | draw a single restart, request by request | [`timeline`] |
//! | restart a server in any way, learn what it cost its clients, and see many ways side by side | [`restart`] |
//! | do the same with what others use | [`peers`] |
//! | roll a new version over three instances behind a balancer | [`fleet`] |
//! | draw how a cost grows with the work, as the benchmark does | [`curve`] |
//! | write what the book includes | [`book`] |
//! | write a measured number with as many digits as it is worth | [`digits`] |
//! | speak to a websocket | [`websocket`] |
//! | build the servers, and say where they were measured | [`server_binary`], [`machine`] |
//!
//! The program `lab` composes them; its [`options`] say how, and a person who waits sees how far it is ([`show`]). It stands
//! on the [`testkit`], as every chapter's tests do.

pub mod book;
pub mod curve;
pub mod digits;
pub mod fleet;
pub mod machine;
pub mod options;
pub mod peers;
pub mod report;
pub mod restart;
mod sample;
pub mod server_binary;
pub mod show;
pub mod timeline;
pub mod upgrade_run;
pub mod websocket;
