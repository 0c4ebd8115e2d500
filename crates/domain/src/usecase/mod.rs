//! Intents, one a file. Each takes a [`Call`] (who asks, until when) and a request as the caller wrote it, and answers a
//! value or a [`Refusal`](crate::error::Refusal).
//!
//! The order inside a use case: permission, replay of a stored answer, validation (all violations at once), existence,
//! preconditions, commit. Without permission the answer is the same whether or not the thing exists. Tokens of an answer
//! are sealed before the commit: what cannot be answered is not done.
//!
//! A use case whose answer depends on whether a contact of others exists is an identity probe: it is counted in a unit before
//! its own, and refused in the order caller's budget, permission, workspace's budget (see `probe`).

mod api;
mod assign_user;
mod authority;
mod catalogue;
mod change;
mod change_grants;
mod change_identity;
mod change_policy;
mod change_relationship;
mod change_role;
mod change_workspace;
mod check_access;
mod create_workspace;
mod dispatch;
mod enrol;
mod explain_access;
mod grant;
mod groups;
mod guard;
mod identify;
mod input;
mod lookup_user;
mod probe;
mod propose_relationship;
mod read;
mod read_assignment;
mod read_groups;
mod read_relationship;
mod record;
mod relationship_effect;
mod relationship_terms;
mod replay;
mod resolve;
mod run_tx;
mod service;
mod token;
mod view;

pub use api::*;
pub use dispatch::Dispatcher;
pub use run_tx::{Command, Finish, TxRunner};
pub use service::{Domicile, Ports};
