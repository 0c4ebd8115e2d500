//! Puts things into any store.

use std::time::Duration;

use domicile_domain::event::Event;
use domicile_domain::model::answer::AnsweredRequest;
use domicile_domain::model::audit::{AuditRecord, PersonalValue};
use domicile_domain::model::group::Group;
use domicile_domain::model::id::UserId;
use domicile_domain::model::membership::{ExternalMembership, InternalMembership, Membership};
use domicile_domain::model::notice::Notice;
use domicile_domain::model::permission::Permission;
use domicile_domain::model::relationship::WorkspaceRelationship;
use domicile_domain::model::role::Role;
use domicile_domain::model::user::{Identity, User};
use domicile_domain::model::workspace::Workspace;
use domicile_domain::port::store::{Store, StoreError, UnitOfWork};

/// How long tests wait for their turn.
pub const PATIENCE: Duration = Duration::from_secs(10);

macro_rules! rows {
    ($($(#[$doc:meta])* $name:ident($of:ty);)*) => {
        /// One thing to put into a store.
        #[derive(Debug, Clone)]
        pub enum Row {
            $($(#[$doc])* $name(Box<$of>),)*
        }

        $(impl From<$of> for Row {
            fn from(of: $of) -> Self {
                Self::$name(Box::new(of))
            }
        })*

        $(impl From<&$of> for Row {
            fn from(of: &$of) -> Self {
                Self::$name(Box::new(of.clone()))
            }
        })*
    };
}

rows! {
    /// A workspace.
    Workspace(Workspace);
    /// A permission of the catalogue.
    Permission(Permission);
    /// A role.
    Role(Role);
    /// A group without people.
    Group(Group);
    /// A user.
    User(User);
    /// An identity of a user.
    Identity((UserId, Identity));
    /// A membership.
    Membership(Membership);
    /// A relationship.
    Relationship(WorkspaceRelationship);
    /// A notice.
    Notice(Notice);
    /// An answer.
    Answer(AnsweredRequest);
    /// An event.
    Event(Event);
    /// A row of the audit record.
    Audit((AuditRecord, Vec<PersonalValue>));
}

impl From<InternalMembership> for Row {
    fn from(of: InternalMembership) -> Self {
        Membership::Internal(of).into()
    }
}

impl From<ExternalMembership> for Row {
    fn from(of: ExternalMembership) -> Self {
        Membership::External(of).into()
    }
}

impl Row {
    /// Puts it into a unit.
    ///
    /// # Errors
    /// The store's.
    pub async fn put(&self, tx: &mut dyn UnitOfWork) -> Result<(), StoreError> {
        match self {
            Self::Workspace(of) => tx.workspaces().insert(of).await,
            Self::Permission(of) => tx.roles().register(of).await,
            Self::Role(of) => tx.roles().insert(of).await,
            Self::Group(of) => tx.groups().insert(of).await,
            Self::User(of) => tx.users().insert(of).await,
            Self::Identity(of) => tx.users().bind_identity(of.0, &of.1, crate::builders::NOW).await,
            Self::Membership(of) => tx.memberships().insert(of).await,
            Self::Relationship(of) => tx.relationships().insert(of).await,
            Self::Notice(of) => tx.notices().insert(of).await,
            Self::Answer(of) => tx.records().keep_answer(of).await,
            Self::Event(of) => tx.records().event(of).await,
            Self::Audit(of) => tx.records().audit(&of.0, &of.1).await,
        }
    }
}

/// Puts rows into a store in one unit.
///
/// # Errors
/// The store's, of a row or of the commit.
pub async fn try_seed(store: &dyn Store, rows: &[Row]) -> Result<(), StoreError> {
    let mut tx = store.begin(PATIENCE).await?;
    for row in rows {
        if let Err(error) = row.put(&mut *tx).await {
            tx.rollback().await?;
            return Err(error);
        }
    }
    tx.commit().await
}

/// Puts rows into a store in one unit.
///
/// # Panics
/// When the store does not take them.
pub async fn seed(store: &dyn Store, rows: &[Row]) {
    if let Err(error) = try_seed(store, rows).await {
        panic!("the test's world could not be built: {error}");
    }
}
