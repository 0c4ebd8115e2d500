//! Values, states and things. Every rule that needs no port lives here; sources are numbered in `docs/RULES.md`.

pub mod actor;
pub mod answer;
pub mod audit;
pub mod budget;
pub mod contact;
pub mod email;
pub mod facts;
pub mod group;
pub mod id;
pub mod language;
pub mod membership;
pub mod name;
pub mod notice;
pub mod permission;
pub mod phone;
pub mod relationship;
pub mod role;
pub mod text;
pub mod time;
pub mod user;
pub mod workspace;
