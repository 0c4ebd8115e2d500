//! A driver's error becomes the port's: by extended code or SQLSTATE and constraint, in this one place.

use domicile_domain::port::store::{Constraint, StoreError};
use sea_orm::{DbErr, RuntimeErr, SqlxError};

/// What happened, and whether the connection can be used on.
pub(crate) struct Classified {
    pub(crate) error: StoreError,
    /// SQLite ended the whole transaction by itself, or the connection is in doubt.
    pub(crate) connection_is_lost: bool,
}

/// Classifies what a statement, BEGIN or COMMIT answered.
pub(crate) fn classify(error: &DbErr) -> Classified {
    let (error, connection_is_lost) = match error {
        DbErr::Exec(RuntimeErr::SqlxError(e))
        | DbErr::Query(RuntimeErr::SqlxError(e))
        | DbErr::Conn(RuntimeErr::SqlxError(e)) => of_driver(e),
        DbErr::ConnectionAcquire(_) => (StoreError::Contention, false),
        other => (StoreError::Fault(other.to_string()), true),
    };
    Classified { error, connection_is_lost }
}

fn of_driver(error: &SqlxError) -> (StoreError, bool) {
    match error {
        SqlxError::Database(e) => {
            let code = e.code().unwrap_or_default();
            code.parse::<u32>()
                .map_or_else(|_| (StoreError::Fault(e.message().to_owned()), true), |code| of_sqlite(code, e.message()))
        }
        SqlxError::PoolTimedOut => (StoreError::Contention, false),
        SqlxError::Io(_) | SqlxError::PoolClosed | SqlxError::WorkerCrashed => {
            (StoreError::Unavailable("the connection to the database broke".to_owned()), true)
        }
        other => (StoreError::Fault(other.to_string()), true),
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
    const TABLE: [(&str, Constraint); 11] = [
        ("contacts.kind, contacts.match_key", Constraint::ContactKey),
        ("user_profiles.home_id, user_profiles.username_key", Constraint::Username),
        ("workspaces.handle", Constraint::WorkspaceHandle),
        ("roles.workspace_id, roles.handle", Constraint::RoleHandle),
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
}
