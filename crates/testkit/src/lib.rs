//! What tests of Domicile, and of programs that embed it, are made of: a store in memory that can be told to fail, and
//! clocks, ids and sealers that do as they are told.
#![deny(missing_docs)]

pub mod doubles;
pub mod memory;
