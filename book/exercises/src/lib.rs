//! The exercises of the book.
//!
//! The invariant: as it stands here, every exercise compiles and fails; with the feature `solutions`, every one passes.
//!
//! Solve one by changing its file in `src/`, and ask `cargo exercise NAME` whether you have. Ours are in `solutions/`:
//! `cargo exercise --features solutions NAME`.

#[cfg_attr(feature = "solutions", path = "../solutions/ch1_errno.rs")]
pub mod ch1_errno;
#[cfg_attr(feature = "solutions", path = "../solutions/ch1_queue.rs")]
pub mod ch1_queue;
#[cfg_attr(feature = "solutions", path = "../solutions/ch1_reload.rs")]
pub mod ch1_reload;
#[cfg_attr(feature = "solutions", path = "../solutions/ch2_accept.rs")]
pub mod ch2_accept;
#[cfg_attr(feature = "solutions", path = "../solutions/ch2_deadline.rs")]
pub mod ch2_deadline;
#[cfg_attr(feature = "solutions", path = "../solutions/ch2_guard.rs")]
pub mod ch2_guard;
#[cfg_attr(feature = "solutions", path = "../solutions/ch3_cloexec.rs")]
pub mod ch3_cloexec;
#[cfg_attr(feature = "solutions", path = "../solutions/ch3_names.rs")]
pub mod ch3_names;
#[cfg_attr(feature = "solutions", path = "../solutions/ch3_places.rs")]
pub mod ch3_places;
#[cfg_attr(feature = "solutions", path = "../solutions/ch4_ready.rs")]
pub mod ch4_ready;
#[cfg_attr(feature = "solutions", path = "../solutions/ch4_table.rs")]
pub mod ch4_table;
#[cfg_attr(feature = "solutions", path = "../solutions/ch5_claim.rs")]
pub mod ch5_claim;
#[cfg_attr(feature = "solutions", path = "../solutions/ch5_unparsed.rs")]
pub mod ch5_unparsed;
#[cfg_attr(feature = "solutions", path = "../solutions/ch6_pid_file.rs")]
pub mod ch6_pid_file;
