//! A fleet: three instances behind a balancer, and a new version that is rolled over them, one instance after the other.
//!
//! The invariant: nothing of it is on the machine's own network, process table or file systems. The whole fleet lives in
//! namespaces of its own, and the kernel ends them, with all that is in them, when the lab ends, however that comes about.
//!
//! | to … | use |
//! | --- | --- |
//! | run the lab again, inside | [`machines`] |
//! | find a balancer, or learn what to install | [`find`] |
//! | roll a new version over a fleet under load | [`measure`], in a [`Way`] |
//! | do that for each balancer and each way, in turns, and write what it came to | [`in_turns`], [`Report`] |

mod balancer;
mod clients;
mod column;
mod figures;
mod haproxy;
mod instance;
pub mod machines;
mod measure;
mod nginx;
mod report;
mod turns;
mod until;
mod way;

pub use balancer::{Found, Kind, find};
pub use figures::{Figures, Run};
pub use instance::Programs;
pub use measure::measure;
pub use report::Report;
pub use turns::{Outcome, in_turns};
pub use way::Way;
