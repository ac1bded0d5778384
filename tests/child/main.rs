//! Drivers in a process of their own: what happens when things go wrong, and what goes
//! on side by side.

#[path = "../common/remote_driver.rs"]
mod remote_driver;
#[path = "../common/served.rs"]
mod served;
#[path = "../support/mod.rs"]
mod support;

mod bad;
mod decoder;
mod host;
mod life;
mod python;
mod scripted;
mod streams;
mod turns;
mod wire;
