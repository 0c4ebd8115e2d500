//! A driver's error becomes the port's: by SQLite's extended code or PostgreSQL's SQLSTATE, and by constraint, in this one
//! place.

use domicile_domain::port::store::{Constraint, StoreError};
use sea_orm::{DbBackend, DbErr, RuntimeErr, SqlxError};

/// What happened, and whether the connection can be used on.
pub(crate) struct Classified {
    pub(crate) error: StoreError,
    /// The engine ended the whole transaction by itself, or the connection is in doubt.
    pub(crate) connection_is_lost: bool,
}

/// Classifies what a statement, BEGIN or COMMIT answered.
pub(crate) fn classify(backend: DbBackend, error: &DbErr) -> Classified {
    let (error, connection_is_lost) = match error {
        DbErr::Exec(RuntimeErr::SqlxError(e))
        | DbErr::Query(RuntimeErr::SqlxError(e))
        | DbErr::Conn(RuntimeErr::SqlxError(e)) => of_driver(backend, e),
        DbErr::ConnectionAcquire(_) => (StoreError::Contention, false),
        other => (StoreError::Fault(other.to_string()), true),
    };
    Classified { error, connection_is_lost }
}

fn of_driver(backend: DbBackend, error: &SqlxError) -> (StoreError, bool) {
    match error {
        SqlxError::Database(e) if backend == DbBackend::Postgres => {
            of_postgres(e.code().as_deref().unwrap_or_default(), e.constraint(), e.message())
        }
        SqlxError::Database(e) => {
            let code = e.code().unwrap_or_default();
            code.parse::<u32>()
                .map_or_else(|_| (StoreError::Fault(e.message().to_owned()), true), |code| of_sqlite(code, e.message()))
        }
        SqlxError::PoolTimedOut => (StoreError::Contention, false),
        SqlxError::Io(_) | SqlxError::PoolClosed | SqlxError::WorkerCrashed | SqlxError::Protocol(_) => {
            (StoreError::ConnectionLost, true)
        }
        other => (StoreError::Fault(other.to_string()), true),
    }
}

/// By SQLSTATE; a lost unique key by the name of its rule.
fn of_postgres(state: &str, constraint: Option<&str>, message: &str) -> (StoreError, bool) {
    const UNIQUE: [(&str, Constraint); 11] = [
        ("contacts_key", Constraint::ContactKey),
        ("user_profiles_username", Constraint::Username),
        ("workspaces_handle", Constraint::WorkspaceHandle),
        ("roles_handle", Constraint::RoleHandle),
        ("groups_handle", Constraint::GroupHandle),
        ("memberships_pair", Constraint::Membership),
        ("memberships_internal", Constraint::Membership),
        ("memberships_external_id", Constraint::ExternalId),
        ("relationships_live", Constraint::Relationship),
        ("identities_key", Constraint::Identity),
        ("answered_requests_key", Constraint::Request),
    ];
    let unavailable = |what: &str| StoreError::Unavailable(what.to_owned());
    match (state, state.get(..2).unwrap_or_default()) {
        ("23505", _) => {
            let lost = UNIQUE.into_iter().find(|(name, _)| Some(*name) == constraint);
            (lost.map_or_else(|| StoreError::Fault(message.to_owned()), |(_, rule)| StoreError::Conflict(rule)), false)
        }
        // Serialization failure, deadlock, lock not available, statement timeout: others were faster, or held the row.
        ("40001" | "40P01" | "55P03" | "57014", _) => (StoreError::Contention, false),
        // The server shuts down or starts, or ended an idle transaction.
        ("57P01" | "57P02" | "57P03" | "25P03", _) | (_, "08") => (StoreError::ConnectionLost, true),
        ("53100", _) => (unavailable("the disk is full"), true),
        ("53300", _) => (unavailable("the database takes no more connections"), true),
        ("25006", _) => (unavailable("the database is read-only"), true),
        (_, "53") => (unavailable("the database is out of resources"), true),
        _ => (StoreError::Fault(format!("{message} (SQLSTATE {state})")), false),
    }
}

/// By SQLite's extended result code; the low byte is the primary code.
fn of_sqlite(code: u32, message: &str) -> (StoreError, bool) {
    const UNIQUE: u32 = 2067;
    const PRIMARY_KEY: u32 = 1555;
    match (code, code & 0xff) {
        (UNIQUE | PRIMARY_KEY, _) => {
            let error =
                constraint_of(message).map_or_else(|| StoreError::Fault(message.to_owned()), StoreError::Conflict);
            (error, false)
        }
        // Foreign keys, CHECK, NOT NULL: a defect here, but the transaction stands.
        (_, 19) => (StoreError::Fault(message.to_owned()), false),
        (_, 5 | 6) => (StoreError::Contention, false),
        (_, 13) => (StoreError::Unavailable("the disk is full".to_owned()), true),
        (_, 10 | 14) => (StoreError::Unavailable("the database file cannot be read or written".to_owned()), true),
        (_, 8) => (StoreError::Unavailable("the database file is read-only".to_owned()), true),
        _ => (StoreError::Fault(format!("{message} (SQLite code {code})")), true),
    }
}

/// SQLite names the columns of a unique key that failed: `UNIQUE constraint failed: roles.workspace_id, roles.handle`.
fn constraint_of(message: &str) -> Option<Constraint> {
    const TABLE: [(&str, Constraint); 12] = [
        ("contacts.kind, contacts.match_key", Constraint::ContactKey),
        ("user_profiles.home_id, user_profiles.username_key", Constraint::Username),
        ("workspaces.handle", Constraint::WorkspaceHandle),
        ("roles.workspace_id, roles.handle", Constraint::RoleHandle),
        ("groups.workspace_id, groups.handle", Constraint::GroupHandle),
        ("memberships.workspace_id, memberships.user_id", Constraint::Membership),
        ("memberships.user_id", Constraint::Membership),
        ("memberships.workspace_id, memberships.external_id", Constraint::ExternalId),
        ("relationships.host_id, relationships.home_id", Constraint::Relationship),
        ("identities.issuer, identities.subject", Constraint::Identity),
        (
            "answered_requests.request_id, answered_requests.service, answered_requests.user_id, answered_requests.method",
            Constraint::Request,
        ),
        ("index 'memberships_internal'", Constraint::Membership),
    ];
    let columns = message.rsplit_once("constraint failed: ").map_or(message, |(_, columns)| columns).trim();
    TABLE.into_iter().find(|(text, _)| *text == columns).map(|(_, constraint)| constraint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_become_the_ports_errors() {
        let conflict = "UNIQUE constraint failed: roles.workspace_id, roles.handle";
        for (code, message, error, lost) in [
            (2067, conflict, StoreError::Conflict(Constraint::RoleHandle), false),
            (
                1555,
                "UNIQUE constraint failed: memberships.workspace_id, memberships.user_id",
                StoreError::Conflict(Constraint::Membership),
                false,
            ),
            (
                2067,
                "UNIQUE constraint failed: users.other",
                StoreError::Fault("UNIQUE constraint failed: users.other".into()),
                false,
            ),
            (787, "FOREIGN KEY constraint failed", StoreError::Fault("FOREIGN KEY constraint failed".into()), false),
            (5, "database is locked", StoreError::Contention, false),
            (517, "database is locked", StoreError::Contention, false),
            (13, "database or disk is full", StoreError::Unavailable("the disk is full".into()), true),
            (
                778,
                "disk I/O error",
                StoreError::Unavailable("the database file cannot be read or written".into()),
                true,
            ),
        ] {
            assert_eq!(of_sqlite(code, message), (error, lost), "{code}");
        }
    }

    #[test]
    fn states_become_the_ports_errors() {
        for (state, constraint, error, lost) in [
            ("23505", Some("contacts_key"), StoreError::Conflict(Constraint::ContactKey), false),
            ("23505", Some("memberships_internal"), StoreError::Conflict(Constraint::Membership), false),
            ("23505", Some("users_pkey"), StoreError::Fault("told".into()), false),
            ("23503", Some("roles_workspace_id_fkey"), StoreError::Fault("told (SQLSTATE 23503)".into()), false),
            ("40001", None, StoreError::Contention, false),
            ("40P01", None, StoreError::Contention, false),
            ("57014", None, StoreError::Contention, false),
            ("57P01", None, StoreError::ConnectionLost, true),
            ("08006", None, StoreError::ConnectionLost, true),
            ("53100", None, StoreError::Unavailable("the disk is full".into()), true),
            ("53200", None, StoreError::Unavailable("the database is out of resources".into()), true),
        ] {
            assert_eq!(of_postgres(state, constraint, "told"), (error, lost), "{state}");
        }
    }
}
