//! What the end to end tests share: a server in this process over a real database file, and clients of it.

pub mod world;
