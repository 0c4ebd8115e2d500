//! Keeps what decides access in memory, in front of any store: inputs of decisions, never decisions.
//!
//! [`cached`] stands before both sides of a store. The read side answers [`Directory::check_facts`] from what it kept;
//! everything else goes through. The write side notes what units change, so that this process sees its own commits at once.
//!
//! What is kept of a person in a workspace names the revisions of workspace and home at which it was read. Every unit that
//! changes one of its rows takes the next revision of that workspace or home first, so it stays true while both revisions
//! stand. What is *known* of a revision is therefore all that can grow old. It comes from a read and serves for [`SERVES`]
//! from the moment that read began; after [`FRESH`] one caller reads again while the others go on. A commit of this process
//! forgets it before it is answered, and what a read brings that began earlier is not learned any more. The same holds for
//! the entries of the catalogue of permissions, which have no revision.

mod known;
mod noting;
mod weight;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use domicile_domain::event::Event;
use domicile_domain::model::audit::AuditRecord;
use domicile_domain::model::facts::AccessFacts;
use domicile_domain::model::group::{GroupRef, GroupSize};
use domicile_domain::model::id::{GroupId, NoticeId, RelationshipId, UserId, WorkspaceId};
use domicile_domain::model::name::Handle;
use domicile_domain::model::permission::{Permission, PermissionName};
use domicile_domain::model::role::Role;
use domicile_domain::model::time::{Revision, Timestamp};
use domicile_domain::model::user::{Identity, User};
use domicile_domain::model::workspace::{Workspace, WorkspaceRef};
use domicile_domain::port::directory::{
    BelongingRow, CheckFacts, CheckKey, CheckedSubject, Directory, Freshness, MemberRow, NoticeRow, RelationshipQuery,
    RelationshipRow,
};
use domicile_domain::port::runtime::Clock;
use domicile_domain::port::store::{Store, StoreError};
use quick_cache::sync::Cache;

use known::{Known, Moment};
use noting::NotingStore;
use weight::Weight;

/// How long what was read is taken as it was, without anybody looking again. Counted from the beginning of the read.
pub const FRESH: Duration = Duration::from_secs(1);
/// How long it serves at the very most. An answer may be relied on for two seconds from the same beginning, so whoever
/// hears it at the end of this time has half a second left.
pub const SERVES: Duration = Duration::from_millis(1_500);

/// A store and its directory, with a cache between them and their callers.
pub struct Cached {
    /// The write side: commits through it are seen by the directory at once.
    pub store: Arc<dyn Store>,
    /// The read side.
    pub directory: Arc<CachedDirectory>,
}

/// Into how many parts the memory is divided, and what of them is for facts; one is for each of four smaller things.
const PARTS: (usize, usize) = (16, 12);
/// What the facts of a person take where roles are few: only a guess at how many there will be.
const USUAL_FACTS: usize = 2_048;

/// Puts a cache that takes about so many bytes at most before a store and its directory. All writes of this process must go
/// through the store that is answered.
pub fn cached(store: Arc<dyn Store>, directory: Arc<dyn Directory>, clock: Arc<dyn Clock>, bytes: usize) -> Cached {
    let part = bytes / PARTS.0;
    let for_facts = part * PARTS.1;
    let weighed = |bytes: usize| u64::try_from(bytes).unwrap_or(u64::MAX);
    let known = Arc::new(Knowledge {
        revisions: Known::new(part / weight::REVISION),
        permissions: Known::new(part / weight::PERMISSION),
    });
    let store = Arc::new(NotingStore { inner: store, known: known.clone() });
    let directory = Arc::new(CachedDirectory {
        inner: directory,
        clock,
        known,
        facts: Cache::with_weighter(for_facts / USUAL_FACTS, weighed(for_facts), Weight),
        handles: Cache::new(part / weight::HANDLE),
        identities: Cache::with_weighter(part / weight::HANDLE, weighed(part), Weight),
        hits: AtomicU64::new(0),
        misses: AtomicU64::new(0),
    });
    Cached { store, directory }
}

/// What is known at the moment.
pub(crate) struct Knowledge {
    revisions: Known<WorkspaceId, Revision>,
    permissions: Known<PermissionName, Arc<Permission>>,
}

/// How well the cache serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Checks that were answered from memory.
    pub hits: u64,
    /// Checks that were read.
    pub misses: u64,
    /// People in workspaces that are kept.
    pub entries: usize,
    /// About how many bytes what is kept of them takes.
    pub bytes: u64,
}

/// The facts of a person, weighed once.
#[derive(Debug, Clone)]
struct Kept {
    facts: Arc<AccessFacts>,
    weight: u64,
}

/// The read side of a store, with what decides access kept in memory.
pub struct CachedDirectory {
    inner: Arc<dyn Directory>,
    clock: Arc<dyn Clock>,
    known: Arc<Knowledge>,
    facts: Cache<(WorkspaceId, UserId), Kept, Weight>,
    /// A handle never changes its workspace.
    handles: Cache<Handle, WorkspaceId>,
    /// Whom an identity was bound to at a revision of that person's home; binding and unbinding takes the next one.
    identities: Cache<Identity, (UserId, Revision), Weight>,
    hits: AtomicU64,
    misses: AtomicU64,
}

impl CachedDirectory {
    /// How well it has served so far.
    pub fn counts(&self) -> Counts {
        Counts {
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
            entries: self.facts.len(),
            bytes: self.facts.weight(),
        }
    }

    /// The facts of one check, if all of them are kept, known to stand and fresh enough.
    fn kept(&self, check: &CheckKey, freshness: &Freshness, now: Timestamp) -> Option<CheckFacts> {
        let workspace = match &check.workspace {
            WorkspaceRef::Id(id) => *id,
            WorkspaceRef::Handle(handle) => self.handles.get(handle)?,
        };
        let (user, bound_at) = match &check.subject {
            CheckedSubject::User(user) => (*user, None),
            CheckedSubject::Identity(identity) => {
                let (user, home_revision) = self.identities.get(identity)?;
                (user, Some(home_revision))
            }
        };
        let Kept { facts, .. } = self.facts.get(&(workspace, user))?;
        let account = facts.account.as_ref()?;
        let host = (workspace, facts.workspace.revision);
        let home = (account.home, account.home_revision);
        if bound_at.is_some_and(|revision| revision != home.1) {
            return None;
        }
        // All three are asked, so that whoever renews one renews all of them.
        let known = [host, home].map(|(of, _)| self.known.revisions.get(&of, now));
        let entry = self.known.permissions.get(&check.permission, now);
        let (permission, mut as_of) = entry?;
        for ((of, read), known) in [host, home].into_iter().zip(known) {
            let (revision, since) = known?;
            if revision != read || !freshness.is_met_by(of, read) {
                return None;
            }
            as_of = as_of.min(since);
        }
        Some(CheckFacts { access: Some(facts), permission: Some(permission), as_of: Some(as_of) })
    }

    /// Every check from memory, or none: so they are of one moment where they are read.
    fn all_kept(&self, checks: &[CheckKey], freshness: &Freshness) -> Option<Vec<CheckFacts>> {
        if matches!(freshness, Freshness::Newest) {
            return None;
        }
        let now = self.clock.now();
        checks.iter().map(|check| self.kept(check, freshness, now)).collect()
    }

    /// Keeps what was read, unless this process changed something of it since the read began.
    fn keep(&self, check: &CheckKey, found: &CheckFacts, began: Moment) {
        if let Some(permission) = &found.permission {
            self.known.permissions.learn(&permission.name, permission.clone(), began);
        }
        // Who has no account may get one in any home, whose revision nobody would ask for.
        let Some(facts) = &found.access else { return };
        let Some(account) = &facts.account else { return };
        let (host, home) = ((facts.workspace.id, facts.workspace.revision), (account.home, account.home_revision));
        self.known.revisions.learn(&host.0, host.1, began);
        self.known.revisions.learn(&home.0, home.1, began);
        if let WorkspaceRef::Handle(handle) = &check.workspace {
            self.handles.insert(handle.clone(), host.0);
        }
        if let CheckedSubject::Identity(identity) = &check.subject {
            self.identities.insert(identity.clone(), (account.user, home.1));
        }
        let kept = Kept { facts: facts.clone(), weight: weight::of_facts(facts) };
        self.facts.insert((host.0, account.user), kept);
    }
}

#[async_trait]
impl Directory for CachedDirectory {
    async fn check_facts(&self, checks: &[CheckKey], freshness: &Freshness) -> Result<Vec<CheckFacts>, StoreError> {
        let count = u64::try_from(checks.len()).unwrap_or(u64::MAX);
        if let Some(kept) = self.all_kept(checks, freshness) {
            self.hits.fetch_add(count, Ordering::Relaxed);
            return Ok(kept);
        }
        self.misses.fetch_add(count, Ordering::Relaxed);
        let began = Moment::at(self.clock.now());
        let found = self.inner.check_facts(checks, freshness).await?;
        for (check, found) in checks.iter().zip(&found) {
            self.keep(check, found, began);
        }
        Ok(found)
    }

    async fn workspace(&self, workspace: &WorkspaceRef) -> Result<Option<Workspace>, StoreError> {
        self.inner.workspace(workspace).await
    }

    async fn workspaces(&self, after: WorkspaceId, limit: u32) -> Result<Vec<Workspace>, StoreError> {
        self.inner.workspaces(after, limit).await
    }

    async fn workspaces_of(
        &self,
        user: UserId,
        after: WorkspaceId,
        limit: u32,
    ) -> Result<Vec<BelongingRow>, StoreError> {
        self.inner.workspaces_of(user, after, limit).await
    }

    async fn user(&self, id: UserId) -> Result<Option<User>, StoreError> {
        self.inner.user(id).await
    }

    async fn user_by_identity(&self, identity: &Identity) -> Result<Option<UserId>, StoreError> {
        self.inner.user_by_identity(identity).await
    }

    async fn identities(&self, user: UserId) -> Result<Vec<Identity>, StoreError> {
        self.inner.identities(user).await
    }

    async fn access_facts(&self, workspace: WorkspaceId, user: UserId) -> Result<Option<AccessFacts>, StoreError> {
        self.inner.access_facts(workspace, user).await
    }

    async fn grantees(
        &self,
        workspace: WorkspaceId,
        permission: &PermissionName,
        after: UserId,
        limit: u32,
    ) -> Result<Vec<AccessFacts>, StoreError> {
        self.inner.grantees(workspace, permission, after, limit).await
    }

    async fn permission(&self, name: &PermissionName) -> Result<Option<Permission>, StoreError> {
        self.inner.permission(name).await
    }

    async fn permissions(
        &self,
        prefix: &str,
        retired: bool,
        after: &str,
        limit: u32,
    ) -> Result<Vec<Permission>, StoreError> {
        self.inner.permissions(prefix, retired, after, limit).await
    }

    async fn roles(&self, workspace: WorkspaceId) -> Result<Vec<Role>, StoreError> {
        self.inner.roles(workspace).await
    }

    async fn group(&self, workspace: WorkspaceId, group: &GroupRef) -> Result<Option<GroupSize>, StoreError> {
        self.inner.group(workspace, group).await
    }

    async fn groups(&self, workspace: WorkspaceId, after: GroupId, limit: u32) -> Result<Vec<GroupSize>, StoreError> {
        self.inner.groups(workspace, after, limit).await
    }

    async fn group_members(
        &self,
        workspace: WorkspaceId,
        group: GroupId,
        after: UserId,
        limit: u32,
    ) -> Result<Vec<MemberRow>, StoreError> {
        self.inner.group_members(workspace, group, after, limit).await
    }

    async fn member(&self, workspace: WorkspaceId, user: UserId) -> Result<Option<MemberRow>, StoreError> {
        self.inner.member(workspace, user).await
    }

    async fn members(&self, workspace: WorkspaceId, after: UserId, limit: u32) -> Result<Vec<MemberRow>, StoreError> {
        self.inner.members(workspace, after, limit).await
    }

    async fn relationship(&self, id: RelationshipId) -> Result<Option<RelationshipRow>, StoreError> {
        self.inner.relationship(id).await
    }

    async fn relationships(
        &self,
        query: &RelationshipQuery,
        after: RelationshipId,
        limit: u32,
    ) -> Result<Vec<RelationshipRow>, StoreError> {
        self.inner.relationships(query, after, limit).await
    }

    async fn notice(&self, id: NoticeId) -> Result<Option<NoticeRow>, StoreError> {
        self.inner.notice(id).await
    }

    async fn notices(
        &self,
        workspace: WorkspaceId,
        before: NoticeId,
        limit: u32,
    ) -> Result<Vec<NoticeRow>, StoreError> {
        self.inner.notices(workspace, before, limit).await
    }

    async fn events(&self, workspace: WorkspaceId, after: Revision, limit: u32) -> Result<Vec<Event>, StoreError> {
        self.inner.events(workspace, after, limit).await
    }

    async fn audit(&self, workspace: WorkspaceId, limit: u32) -> Result<Vec<AuditRecord>, StoreError> {
        self.inner.audit(workspace, limit).await
    }
}
