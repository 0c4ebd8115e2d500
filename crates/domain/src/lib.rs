//! Says who lives in which workspace, who is only visiting, and what each may do there.
//!
//! The crate is the inside of a hexagon: [`model`] holds values and states, [`policy`] pure decisions, [`port`] what is
//! needed from outside, [`usecase`] one intent a file. It does no IO and knows no runtime; a program embeds it with the
//! store of `domicile-store-seaorm`, or with its own that passes the conformance suite of `domicile-testkit`.
#![deny(missing_docs)]

pub mod error;
pub mod event;
pub mod model;
pub mod policy;
pub mod port;
pub mod usecase;
