//! The catalogue of permissions. It is of no workspace and no person: services put in what they offer, each under its own
//! prefix, and take it out of use. Whatever all changes of it have in common stands in [`Domicile::change_catalogue`].

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use uuid::Uuid;

use super::api::{
    Call, Changed, ListPermissions, Page, RegisterPermissions, RequestIdentity, RetirePermission, RetiredPermission,
};
use super::input::{field, needed_request_id};
use super::read::{cut, page_size};
use super::record::Deed;
use super::replay::Repeatable;
use super::run_tx::{Command, Finish};
use super::service::Domicile;
use super::token::PageToken;
use crate::error::{Reason, Refusal, Violation};
use crate::model::actor::{ScopeReach, ServiceScope};
use crate::model::answer::{ChangeAnswer, StoredAnswer};
use crate::model::audit::{AuditAction, AuditChange, AuditRecord};
use crate::model::id::RequestId;
use crate::model::permission::{Description, Permission, PermissionClass, PermissionName};
use crate::model::text::quotable;
use crate::model::time::Timestamp;
use crate::port::store::{Constraint, StoreError, UnitOfWork};

/// A change of the catalogue, as its caller wrote it.
#[async_trait]
trait CatalogueChange: Send + Sync {
    type Thing: Send + Sync;
    /// Names it in the record.
    const ACTION: AuditAction;

    fn request(&self) -> &RequestIdentity;

    fn validate_only(&self) -> bool;

    /// Reads the whole request, looks at what is there, and writes. It may be run again from the start.
    async fn make(&self, unit: &mut Unit<'_>) -> Result<(Self::Thing, Vec<AuditChange>), Refusal>;

    /// What an earlier answer told of, as it is now.
    async fn again(&self, unit: &mut Unit<'_>) -> Result<Self::Thing, Refusal>;
}

/// The unit of work of a change of the catalogue.
struct Unit<'t> {
    tx: &'t mut dyn UnitOfWork,
    service: &'t str,
    /// Under which the service may register.
    prefixes: Vec<&'t str>,
    request_id: Option<RequestId>,
    now: Timestamp,
}

impl Unit<'_> {
    /// Refuses names that are not the service's to register. Rights over workspaces are nobody's.
    fn check_prefix<'n>(&self, names: impl Iterator<Item = &'n PermissionName>) -> Result<(), Refusal> {
        let own = |name: &PermissionName| {
            name.class() == PermissionClass::Product && self.prefixes.iter().any(|prefix| name.is_under(prefix))
        };
        let outside: Vec<&str> = names.filter(|name| !own(name)).map(PermissionName::as_str).collect();
        if outside.is_empty() {
            return Ok(());
        }
        let named = outside.join(", ");
        let refusal = Refusal::new(Reason::PrefixNotGranted).with("permissions", &named);
        let message = format!(
            "The service has the prefixes {}, and these are under none of them: {named}. Nothing was changed; ask the operator for the scope `permissions.register` with their prefix.",
            self.prefixes.join(", ")
        );
        Err(Refusal { message, ..refusal })
    }

    /// Refuses entries of other services.
    fn check_registrar<'n>(&self, entries: impl Iterator<Item = &'n Permission>) -> Result<(), Refusal> {
        let taken: Vec<&str> = entries.filter(|e| e.registered_by != self.service).map(|e| e.name.as_str()).collect();
        if taken.is_empty() {
            return Ok(());
        }
        Err(Refusal::new(Reason::PermissionTaken).with("permissions", taken.join(", ")))
    }
}

/// Under which prefixes the calling service may register. The catalogue is of all workspaces, and so is the scope.
fn prefixes(call: &Call) -> Vec<&str> {
    let held = call.actor.service.scopes.iter();
    held.filter_map(|(scope, reach)| match (scope, reach) {
        (ServiceScope::PermissionsRegister(prefix), ScopeReach::Everywhere) => Some(prefix.as_str()),
        _ => None,
    })
    .collect()
}

struct Run<'a, C> {
    call: &'a Call,
    change: &'a C,
    request_id: Option<RequestId>,
    audit: AuditRecord,
    now: Timestamp,
}

#[async_trait]
impl<C: CatalogueChange> Command for Run<'_, C> {
    type Output = (C::Thing, bool);

    /// Another was first. What it did is seen by running again.
    fn reruns_on(&self, error: &StoreError) -> bool {
        matches!(error, StoreError::Stale | StoreError::Conflict(Constraint::Request))
    }

    fn finds_its_own_effect(&self) -> bool {
        self.request_id.is_some()
    }

    async fn run(&self, tx: &mut dyn UnitOfWork) -> Result<Finish<Self::Output>, Refusal> {
        let prefixes = prefixes(self.call);
        if prefixes.is_empty() || self.call.actor.service.operator {
            return Err(Refusal::new(Reason::PermissionDenied));
        }
        // What comes back into use is given to whoever has it: no person makes it so, for themself among them.
        if self.call.actor.user.is_some() {
            let message = "A service changes the catalogue in its own name, and this call is for a person. Nothing was changed; call again without the acting user.".to_owned();
            return Err(Refusal { message, ..Refusal::new(Reason::PermissionDenied) });
        }
        let repeatable = Repeatable {
            call: self.call,
            action: C::ACTION,
            request_id: self.request_id,
            fingerprint: self.change.request().fingerprint,
        };
        let earlier = repeatable.replay(tx).await?;
        let service = self.call.actor.service.name.as_str();
        let mut unit = Unit { tx: &mut *tx, service, prefixes, request_id: self.request_id, now: self.now };
        if earlier.is_some() {
            return Ok(Finish::Discard((self.change.again(&mut unit).await?, true)));
        }
        let (thing, changes) = self.change.make(&mut unit).await?;
        let row = AuditRecord { outcome: "done".to_owned(), changes, ..self.audit.clone() };
        tx.records().audit(&row, &[]).await?;
        // The names stand in the request, and a repeated one is the same.
        let answer = ChangeAnswer { thing: Uuid::nil(), written: Vec::new() };
        repeatable.keep(tx, StoredAnswer::Change(answer), self.now).await?;
        let done = (thing, false);
        Ok(if self.change.validate_only() { Finish::Discard(done) } else { Finish::Commit(done) })
    }
}

/// How many permissions one request may register.
const MOST: usize = 100;

struct Register<'a>(&'a RegisterPermissions);

impl Register<'_> {
    /// Reads the whole request; all violations at once.
    fn read(&self, unit: &Unit<'_>) -> Result<BTreeMap<PermissionName, Description>, Refusal> {
        let mut wrong = Vec::new();
        needed_request_id(&mut wrong, unit.request_id);
        let given = &self.0.permissions;
        if given.is_empty() || given.len() > MOST {
            wrong
                .push(Violation::new("permissions", format!("give 1 to {MOST} permissions; more in further requests")));
            return Err(Refusal::invalid(wrong));
        }
        let mut entries = BTreeMap::new();
        for (index, input) in given.iter().enumerate() {
            let path = format!("permissions[{index}]");
            let name = field(&mut wrong, format!("{path}.name"), PermissionName::parse(&input.name));
            let description = field(&mut wrong, format!("{path}.description"), Description::parse(&input.description));
            let (Some(name), Some(description)) = (name, description) else { continue };
            if entries.insert(name, description).is_some() {
                wrong.push(Violation::new(format!("{path}.name"), "it stands in the list before; give each once"));
            }
        }
        if wrong.is_empty() { Ok(entries) } else { Err(Refusal::invalid(wrong)) }
    }

    fn names(&self) -> BTreeSet<PermissionName> {
        self.0.permissions.iter().filter_map(|input| PermissionName::parse(&input.name).ok()).collect()
    }
}

#[async_trait]
impl CatalogueChange for Register<'_> {
    type Thing = Vec<Permission>;
    const ACTION: AuditAction = AuditAction::RegisterPermissions;

    fn request(&self) -> &RequestIdentity {
        &self.0.request
    }

    fn validate_only(&self) -> bool {
        self.0.validate_only
    }

    async fn make(&self, unit: &mut Unit<'_>) -> Result<(Vec<Permission>, Vec<AuditChange>), Refusal> {
        let asked = self.read(unit)?;
        unit.check_prefix(asked.keys())?;
        let names = asked.keys().cloned().collect();
        let before = unit.tx.roles().permissions(&names).await?;
        unit.check_registrar(before.iter())?;
        let was_there: BTreeMap<&PermissionName, &Permission> =
            before.iter().map(|entry| (&entry.name, entry)).collect();
        let mut changes = Vec::new();
        for (name, description) in &asked {
            let entry = was_there.get(name);
            let now = Permission {
                name: name.clone(),
                description: description.to_string(),
                registered_by: unit.service.to_owned(),
                registered_at: entry.map_or(unit.now, |entry| entry.registered_at),
                retired_at: None,
            };
            match entry {
                None => unit.tx.roles().register(&now).await?,
                Some(entry) if **entry != now => unit.tx.roles().update_permission(&now).await?,
                Some(_) => continue,
            }
            changes.push(told(entry.copied(), &now));
        }
        let after = unit.tx.roles().permissions(&names).await?;
        // Another may have been first with a name that was free a moment ago.
        unit.check_registrar(after.iter())?;
        Ok((after, changes))
    }

    async fn again(&self, unit: &mut Unit<'_>) -> Result<Vec<Permission>, Refusal> {
        Ok(unit.tx.roles().permissions(&self.names()).await?)
    }
}

struct Retire<'a>(&'a RetirePermission);

#[async_trait]
impl CatalogueChange for Retire<'_> {
    type Thing = RetiredPermission;
    const ACTION: AuditAction = AuditAction::RetirePermission;

    fn request(&self) -> &RequestIdentity {
        &self.0.request
    }

    fn validate_only(&self) -> bool {
        self.0.validate_only
    }

    async fn make(&self, unit: &mut Unit<'_>) -> Result<(RetiredPermission, Vec<AuditChange>), Refusal> {
        let mut wrong = Vec::new();
        needed_request_id(&mut wrong, unit.request_id);
        let name = field(&mut wrong, "permission", PermissionName::parse(&self.0.name));
        let Some(name) = name.filter(|_| wrong.is_empty()) else {
            return Err(Refusal::invalid(wrong));
        };
        unit.check_prefix(std::iter::once(&name))?;
        let before = entry(unit, &name).await?;
        unit.check_registrar(std::iter::once(&before))?;
        let now = Permission { retired_at: before.retired_at.or(Some(unit.now)), ..before.clone() };
        let mut changes = Vec::new();
        if now != before {
            unit.tx.roles().update_permission(&now).await?;
            changes.push(told(Some(&before), &now));
        }
        let uses = unit.tx.roles().permission_uses(&name).await?;
        Ok((RetiredPermission { permission: now, uses }, changes))
    }

    async fn again(&self, unit: &mut Unit<'_>) -> Result<RetiredPermission, Refusal> {
        let name = PermissionName::parse(&self.0.name).map_err(|_| Refusal::missing("permission"))?;
        let permission = entry(unit, &name).await?;
        let uses = unit.tx.roles().permission_uses(&name).await?;
        Ok(RetiredPermission { permission, uses })
    }
}

async fn entry(unit: &mut Unit<'_>, name: &PermissionName) -> Result<Permission, Refusal> {
    let found = unit.tx.roles().permissions(&BTreeSet::from([name.clone()])).await?.pop();
    found.ok_or_else(|| Refusal::missing("permission"))
}

/// How an entry changed, for the record.
fn told(before: Option<&Permission>, after: &Permission) -> AuditChange {
    let words = |entry: &Permission| {
        let retired = if entry.retired_at.is_some() { " (retired)" } else { "" };
        format!("{}{retired}", entry.description)
    };
    AuditChange { path: after.name.to_string(), before: before.map(words), after: Some(words(after)) }
}

impl Domicile {
    pub(super) async fn register(
        &self,
        call: &Call,
        request: &RegisterPermissions,
    ) -> Result<Changed<Vec<Permission>>, Refusal> {
        self.change_catalogue(call, &Register(request)).await
    }

    pub(super) async fn retire(
        &self,
        call: &Call,
        request: &RetirePermission,
    ) -> Result<Changed<RetiredPermission>, Refusal> {
        self.change_catalogue(call, &Retire(request)).await
    }

    /// Makes a change of the catalogue, or rehearses it, and records it or its refusal.
    async fn change_catalogue<C: CatalogueChange>(
        &self,
        call: &Call,
        change: &C,
    ) -> Result<Changed<C::Thing>, Refusal> {
        let request_id = change.request().id.parse().ok();
        let deed = Deed { call, action: C::ACTION, workspace: "", request_id };
        let now = self.now();
        let audit = deed.row(self, "", now);
        let run = Run { call, change, request_id, audit, now };
        let (thing, replayed) = match self.runner.run(&run, call.deadline).await {
            Ok(done) => done,
            Err(refusal) => return self.refuse(&deed, refusal).await,
        };
        if change.validate_only() {
            self.record_alone(&deed, "rehearsed", Vec::new()).await?;
        }
        Ok(Changed { thing: Some(thing), consistency_token: None, replayed, budget: Vec::new() })
    }

    pub(super) async fn read_permissions(
        &self,
        call: &Call,
        request: &ListPermissions,
    ) -> Result<Page<Permission>, Refusal> {
        let read = self.permissions_page(call, request).await;
        self.audited(call, AuditAction::ListPermissions, &request.workspace, read).await
    }

    async fn permissions_page(&self, call: &Call, request: &ListPermissions) -> Result<Page<Permission>, Refusal> {
        let workspace = self.member_of(call, &request.workspace, &request.consistency).await?;
        let words = request.prefix.strip_suffix('.').unwrap_or(&request.prefix);
        if !words.is_empty() && PermissionName::parse(&format!("{words}.any")).is_err() {
            let told = quotable(words);
            let message = format!("`{told}` begins no permission; give whole words such as orders or orders.returns");
            return Err(Refusal::invalid(vec![Violation::new("prefix", message)]));
        }
        let retired = request.show_retired;
        let list = format!("list_permissions {words} {retired}");
        let token = PageToken { method: &list, workspace, call };
        let size = page_size(&request.page)?;
        let after = token.open(&*self.ports.sealer, &request.page.token, String::new())?;
        let rows = self.ports.directory.permissions(words, retired, &after, size + 1).await?;
        let (items, last) = cut(rows, size, |entry| entry.name.to_string());
        let next_token = last.map_or_else(|| Ok(String::new()), |last| token.seal(&*self.ports.sealer, last))?;
        Ok(Page { items, next_token })
    }
}
