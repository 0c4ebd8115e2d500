//! The server over a real socket, with the inbound port mocked: conversion, statuses, encryption, admission, limits,
//! deadlines, health, reflection and the way it stops.
#![expect(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "what cannot be fails the test")]

mod access;
mod admission;
mod gate;
mod health;
mod identity;
mod reflection;
mod relationships;
mod requests;
mod responses;
mod roles;
mod shutdown;
mod streams;
mod support;
mod tls;
mod transport;
mod words;
mod work;
