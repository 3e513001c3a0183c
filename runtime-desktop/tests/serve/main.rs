//! `flashlm serve` as its clients meet it: what it answers, what it refuses, and what it bears.
#![cfg(unix)]

mod client;
#[path = "../common/endless.rs"]
mod endless;
mod endpoints;
mod ends;
mod hostile;
mod load;
