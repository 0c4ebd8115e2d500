//! What a person may do in a workspace, who may do something there, and why (seed, troubleshooting: "verify their role and
//! permissions settings").

use super::api::{
    AccessSubject, Call, CheckAccess, CheckSubject, Consistency, EffectivePermission, Evidence, Explanation,
    GateReport, GrantSource, ListEffectivePermissions, ListSubjects, Page, Remedy, RemedyAction,
};
use super::authority::{Right, is_qualifying_manager, may};
use super::check_access::{Named, answer_until, may_check, serves_until};
use super::input::field;
use super::read::{cut, is_usable_here, page_size};
use super::record::Deed;
use super::service::{Domicile, workspace_ref};
use super::token::{PageToken, ensure_facts_fresh, ensure_fresh, freshness};
use crate::error::{Reason, Refusal};
use crate::model::actor::ServiceScope;
use crate::model::audit::AuditAction;
use crate::model::facts::AccessFacts;
use crate::model::id::{UserId, WorkspaceId};
use crate::model::membership::Membership;
use crate::model::name::Handle;
use crate::model::permission::{Permission, PermissionClass, PermissionName};
use crate::model::role::Role;
use crate::model::time::Timestamp;
use crate::model::workspace::Workspace;
use crate::policy::access::{Denial, Gate, granted};
use crate::policy::ceiling::{CeilingSource, permission_counts_for_externals, role_counts_for_externals};

/// Who asks about a person in a workspace.
struct Asker {
    /// Nil if there is no such workspace, which only a service with the scope everywhere may learn.
    workspace: WorkspaceId,
    /// The workspace as it was read first.
    found: Option<Workspace>,
    /// The asking person there; absent where a service asks by its scope.
    person: Option<AccessFacts>,
    /// Whether the person asks about themself.
    themself: bool,
}

/// By what a permission is granted, or could be.
struct GrantedBy<'a> {
    permission: &'a PermissionName,
    /// Roles that have it.
    roles: Vec<&'a Role>,
    /// Whether by itself, too.
    direct: bool,
}

/// What the asker is in the workspace.
#[derive(Clone, Copy)]
struct Standing {
    updates: bool,
    qualifies: bool,
    /// Whether the person asks about themself.
    themself: bool,
}

impl Domicile {
    /// Whoever may ask: a manager, the person, a service with the scope. All others learn nothing, not even whether there is
    /// such a workspace.
    async fn asker(
        &self,
        call: &Call,
        workspace: &str,
        about: Option<UserId>,
        scope: &ServiceScope,
    ) -> Result<Asker, Refusal> {
        let found = self.ports.directory.workspace(&workspace_ref(workspace)?).await?;
        let id = found.as_ref().map_or(WorkspaceId::nil(), |found| found.id);
        let person = call.actor.user_id().unwrap_or(UserId::nil());
        let facts = self.ports.directory.access_facts(id, person).await?;
        let now = self.now();
        if let Some(facts) = facts.filter(|_| !call.actor.service.operator && call.actor.user.is_some()) {
            let member = facts.membership.is_some() && is_usable_here(&facts);
            let themself = about == Some(person) && member && call.actor.reaches(found.as_ref());
            if themself || may(&self.policies, call, &facts, &[Right::Update], now) {
                return Ok(Asker { workspace: id, found, person: Some(facts), themself });
            }
        }
        if may_check(call, found.as_ref(), scope) {
            return Ok(Asker { workspace: id, found, person: None, themself: false });
        }
        Err(Refusal::new(Reason::PermissionDenied))
    }

    /// Whom a question is about, as far as that can be read before it is known who may ask.
    async fn about(&self, subject: &CheckSubject) -> Result<(Option<UserId>, Vec<crate::error::Violation>), Refusal> {
        let mut wrong = Vec::new();
        let user = match Named::read(subject, &mut wrong) {
            Some(named) => Some(self.user_of(&named).await?),
            None => None,
        };
        Ok((user, wrong))
    }

    /// The facts of a person, at least as fresh as asked.
    async fn fresh_facts(
        &self,
        workspace: WorkspaceId,
        user: UserId,
        consistency: &Consistency,
    ) -> Result<Option<AccessFacts>, Refusal> {
        let fresh = freshness(&*self.ports.sealer, consistency)?;
        let facts = self.ports.directory.access_facts(workspace, user).await?;
        self.ensure_fresh_for(&fresh, facts.as_ref()).await?;
        Ok(facts)
    }

    pub(super) async fn explain(&self, call: &Call, request: &CheckAccess) -> Result<Explanation, Refusal> {
        match self.explanation(call, request).await {
            Ok(explanation) => Ok(explanation),
            Err(refusal) => {
                let workspace = request.workspace.as_str();
                let deed = Deed { call, action: AuditAction::ExplainAccess, workspace, request_id: None };
                self.refuse(&deed, refusal).await
            }
        }
    }

    async fn explanation(&self, call: &Call, request: &CheckAccess) -> Result<Explanation, Refusal> {
        let (user, mut wrong) = self.about(&request.subject).await?;
        let asker = self.asker(call, &request.workspace, user, &ServiceScope::AccessCheck).await?;
        let permission = field(&mut wrong, "permission", PermissionName::parse(&request.permission));
        let (Some(permission), Some(user)) = (permission, user) else {
            return Err(Refusal::invalid(wrong));
        };
        let permission = self.offered(&permission).await?;
        let facts = self.fresh_facts(asker.workspace, user, &request.consistency).await?;
        let now = self.now();
        let Some(facts) = facts else {
            return Ok(no_such_workspace(now));
        };
        let answer = answer_until(self.decision(&facts, &permission, now), facts.membership.as_ref(), now);
        let gates = self.reports(&facts, &permission, now);
        let failing = gates.iter().find(|report| report.verdict.is_err()).map(|report| report.gate);
        let partial = gates.iter().any(|report| report.evidence == Evidence::Withheld);
        let remedies = match failing {
            Some(gate) => self.remedies(gate, &facts, &permission, &asker, now).await?,
            None => Vec::new(),
        };
        Ok(Explanation { answer, gates, failing, remedies, partial })
    }

    /// Every gate of the policy, and the catalogue's, with what it looked at.
    fn reports(&self, facts: &AccessFacts, permission: &Permission, now: Timestamp) -> Vec<GateReport> {
        let ceiling = self.policies.ceiling_of(facts);
        let gates = self.policies.access.gates(facts, &ceiling, &permission.name, now);
        let gates = if is_home(facts) { gates } else { seen_from_outside(gates) };
        let retired = permission.retired_at.map_or(Ok(()), |_| Err(Denial::NotGranted));
        let report = |(gate, verdict)| GateReport { gate, verdict, evidence: self.evidence(gate, facts, permission) };
        gates.into_iter().chain([(Gate::Catalogue, retired)]).map(report).collect()
    }

    fn evidence(&self, gate: Gate, facts: &AccessFacts, permission: &Permission) -> Evidence {
        let external = match &facts.membership {
            Some(Membership::External(external)) => Some(external),
            _ => None,
        };
        let account = facts.account.as_ref().filter(|_| facts.membership.is_some());
        match gate {
            Gate::Membership => Evidence::Membership(facts.membership.as_ref().map(Membership::kind)),
            Gate::Workspace => Evidence::Workspace { workspace: facts.workspace.id, state: facts.workspace.state },
            Gate::Account if account.is_some() && !is_home(facts) => Evidence::Withheld,
            Gate::Account => account.map_or(Evidence::None, |account| Evidence::Account(account.state)),
            Gate::Home => account.map_or(Evidence::None, |account| Evidence::Workspace {
                workspace: account.home,
                state: account.home_state,
            }),
            Gate::Acceptance | Gate::Suspension | Gate::Review => {
                external.map_or(Evidence::None, |external| Evidence::External(external.state))
            }
            Gate::Expiry => external.map_or(Evidence::None, |external| Evidence::Expiry(external.expires_at)),
            Gate::Grant => Evidence::Grants(sources(facts, &permission.name)),
            Gate::Ceiling => match external.map(|_| self.policies.ceiling.source(facts)) {
                None => Evidence::None,
                Some(CeilingSource::HomeClosed) => Evidence::Withheld,
                Some(source) => Evidence::Ceiling(source),
            },
            Gate::Catalogue => Evidence::Catalogue(permission.retired_at),
            Gate::Policy => Evidence::None,
        }
    }

    /// What would open a gate, each with whether it is the asker's to apply.
    async fn remedies(
        &self,
        gate: Gate,
        facts: &AccessFacts,
        permission: &Permission,
        asker: &Asker,
        now: Timestamp,
    ) -> Result<Vec<Remedy>, Refusal> {
        let holds = |rights: &[Right]| {
            let person = asker.person.as_ref();
            person.is_some_and(|person| {
                rights.iter().all(|right| super::authority::holds(&self.policies, person, *right, now))
            })
        };
        let updates = holds(&[Right::Update]);
        let qualifies = asker.person.as_ref().is_some_and(|person| is_qualifying_manager(&self.policies, person, now));
        let remedy = |action, may_apply| Remedy { action, may_apply, roles: Vec::new() };
        let one = match gate {
            Gate::Membership | Gate::Expiry => {
                remedy(RemedyAction::AssignPerson, holds(&[Right::Create, Right::Update]))
            }
            Gate::Workspace => remedy(RemedyAction::ReactivateWorkspace, false),
            Gate::Account if is_home(facts) => remedy(RemedyAction::ReactivateAccount, qualifies),
            Gate::Account | Gate::Home => remedy(RemedyAction::AskHome, false),
            Gate::Acceptance => remedy(RemedyAction::AcceptMembership, asker.themself),
            Gate::Suspension => remedy(RemedyAction::ReactivateMembership, updates),
            Gate::Review => remedy(RemedyAction::ConfirmMembership, updates),
            // What is retired counts for nobody, whoever has it.
            Gate::Grant if permission.retired_at.is_some() => remedy(RemedyAction::AskService, false),
            Gate::Grant => {
                let roles = self.ports.directory.roles(facts.workspace.id).await?;
                let with: Vec<&Role> =
                    roles.iter().filter(|role| role.permissions.contains(&permission.name)).collect();
                let by = GrantedBy { permission: &permission.name, roles: with, direct: true };
                let may = Standing { updates, qualifies, themself: asker.themself };
                self.grant_remedy(facts, &by, may)
            }
            Gate::Ceiling => {
                let direct = sources(facts, &permission.name).contains(&GrantSource::Direct);
                let held = facts.roles.iter().map(|role| &**role);
                let with: Vec<&Role> = held.filter(|role| role.permissions.contains(&permission.name)).collect();
                let by = GrantedBy { permission: &permission.name, roles: with, direct };
                self.ceiling_remedy(facts, &by, qualifies && !asker.themself)
            }
            Gate::Catalogue => remedy(RemedyAction::AskService, false),
            Gate::Policy => remedy(RemedyAction::AskPolicyOwner, false),
        };
        Ok(vec![one])
    }

    /// What may be given to the person now; where nothing may, since they are External, what stands in the way.
    fn grant_remedy(&self, facts: &AccessFacts, by: &GrantedBy<'_>, asker: Standing) -> Remedy {
        let mut roles = by.roles.clone();
        let mut direct = by.direct;
        if matches!(facts.membership, Some(Membership::External(_))) {
            let (ceiling, policy) = (self.policies.ceiling.ceiling(facts), &facts.workspace.policy);
            roles.retain(|role| ceiling.roles.contains(&role.id) && role_counts_for_externals(role, policy));
            direct =
                ceiling.permissions.contains(by.permission) && permission_counts_for_externals(by.permission, policy);
            if roles.is_empty() && !direct {
                return self.ceiling_remedy(facts, by, asker.qualifies && !asker.themself);
            }
        }
        // What carries rights over the workspace is given by a qualifying manager alone.
        let plain: Vec<&Role> = roles.iter().copied().filter(|role| !role.is_governing()).collect();
        let governs = by.permission.class() == PermissionClass::Governance;
        let gives = asker.qualifies || !governs && (direct || !plain.is_empty());
        let may_apply = asker.updates && !asker.themself && gives;
        let named = if may_apply && !asker.qualifies { plain } else { roles };
        let roles = named.into_iter().map(|role| role.handle.clone()).collect();
        Remedy { action: RemedyAction::GrantRole, may_apply, roles }
    }

    /// What keeps an External from what is, or would be, granted to them by these means.
    fn ceiling_remedy(&self, facts: &AccessFacts, by: &GrantedBy<'_>, qualifies: bool) -> Remedy {
        let policy = &facts.workspace.policy;
        let counts = by.roles.iter().any(|role| role_counts_for_externals(role, policy))
            || by.direct && permission_counts_for_externals(by.permission, policy);
        let unmarked: Vec<Handle> =
            by.roles.iter().filter(|role| !role.is_governing()).map(|role| role.handle.clone()).collect();
        let (action, may_apply) = match self.policies.ceiling.source(facts) {
            CeilingSource::HostClosed => (RemedyAction::OpenWorkspace, qualifies),
            CeilingSource::SuspendedByHost => (RemedyAction::ResumeRelationship, qualifies),
            CeilingSource::HomeClosed | CeilingSource::SuspendedByHome => (RemedyAction::AskHome, false),
            // What it admitted cannot be changed any more.
            CeilingSource::EndedRelationship => (RemedyAction::ProposeRelationship, qualifies),
            CeilingSource::Policy => (RemedyAction::AskPolicyOwner, false),
            CeilingSource::Relationship | CeilingSource::UnknownHomes | CeilingSource::NoAccount if counts => {
                (RemedyAction::WidenCeiling, qualifies)
            }
            CeilingSource::Relationship | CeilingSource::UnknownHomes | CeilingSource::NoAccount
                if unmarked.is_empty() =>
            {
                (RemedyAction::AllowExternalManagers, qualifies)
            }
            CeilingSource::Relationship | CeilingSource::UnknownHomes | CeilingSource::NoAccount => {
                return Remedy { action: RemedyAction::MarkRole, may_apply: qualifies, roles: unmarked };
            }
        };
        Remedy { action, may_apply, roles: Vec::new() }
    }

    pub(super) async fn list_effective(
        &self,
        call: &Call,
        request: &ListEffectivePermissions,
    ) -> Result<Page<EffectivePermission>, Refusal> {
        match self.effective_page(call, request).await {
            Ok(page) => Ok(page),
            Err(refusal) => {
                let workspace = request.workspace.as_str();
                let deed = Deed { call, action: AuditAction::ListEffectivePermissions, workspace, request_id: None };
                self.refuse(&deed, refusal).await
            }
        }
    }

    async fn effective_page(
        &self,
        call: &Call,
        request: &ListEffectivePermissions,
    ) -> Result<Page<EffectivePermission>, Refusal> {
        let (user, wrong) = self.about(&request.subject).await?;
        let asker = self.asker(call, &request.workspace, user, &ServiceScope::AccessCheck).await?;
        let user = user.ok_or_else(|| Refusal::invalid(wrong))?;
        let size = page_size(&request.page)?;
        let method = format!("list_effective_permissions {user}");
        let token = PageToken { method: &method, workspace: asker.workspace, call };
        let after: String = token.open(&*self.ports.sealer, &request.page.token, String::new())?;
        let Some(facts) = self.fresh_facts(asker.workspace, user, &request.consistency).await? else {
            return Ok(Page { items: Vec::new(), next_token: String::new() });
        };
        let now = self.now();
        let mut items = Vec::new();
        for permission in granted(&facts).into_iter().filter(|permission| permission.as_str() > after.as_str()) {
            if items.len() > usize::try_from(size).unwrap_or(usize::MAX) {
                break;
            }
            // A name that the catalogue lost cannot be granted: a key of the schema keeps them together.
            let Some(entry) = self.ports.directory.permission(&permission).await? else { continue };
            let decision = self.decision(&facts, &entry, now);
            items.push(EffectivePermission { sources: sources(&facts, &permission), permission, decision });
        }
        let (items, last) = cut(items, size, |item| item.permission.clone());
        let next_token = match last {
            Some(last) => token.seal(&*self.ports.sealer, last)?,
            None => String::new(),
        };
        Ok(Page { items, next_token })
    }

    pub(super) async fn list_granted(
        &self,
        call: &Call,
        request: &ListSubjects,
    ) -> Result<Page<AccessSubject>, Refusal> {
        match self.subjects_page(call, request).await {
            Ok(page) => Ok(page),
            Err(refusal) => {
                let workspace = request.workspace.as_str();
                let deed = Deed { call, action: AuditAction::ListSubjects, workspace, request_id: None };
                self.refuse(&deed, refusal).await
            }
        }
    }

    /// People to whom it is granted are read from the store; the policy decides on each. The work of a call is bounded: a
    /// page of people who were clipped is an empty page, with more to come.
    async fn subjects_page(&self, call: &Call, request: &ListSubjects) -> Result<Page<AccessSubject>, Refusal> {
        let asker = self.asker(call, &request.workspace, None, &ServiceScope::AccessSubjects).await?;
        let mut wrong = Vec::new();
        let permission = field(&mut wrong, "permission", PermissionName::parse(&request.permission));
        let permission = permission.ok_or_else(|| Refusal::invalid(wrong))?;
        let permission = self.offered(&permission).await?;
        let size = page_size(&request.page)?;
        let method = format!("list_subjects {}", permission.name);
        let token = PageToken { method: &method, workspace: asker.workspace, call };
        let after = token.open(&*self.ports.sealer, &request.page.token, UserId::nil())?;
        let fresh = freshness(&*self.ports.sealer, &request.consistency)?;
        // A page without rows tells nothing of how fresh it is.
        if let Some(workspace) = &asker.found {
            ensure_fresh(&fresh, workspace)?;
        }
        let rows = self.ports.directory.grantees(asker.workspace, &permission.name, after, size + 1).await?;
        let now = self.now();
        let (rows, last) = cut(rows, size, |facts| facts.account.as_ref().map_or(UserId::nil(), |a| a.user));
        let mut items = Vec::new();
        for facts in rows {
            ensure_facts_fresh(&fresh, &facts)?;
            if let (Ok(()), Some(membership)) = (self.decision(&facts, &permission, now), &facts.membership) {
                items.push(AccessSubject {
                    user: membership.base().user,
                    kind: membership.kind(),
                    sources: sources(&facts, &permission.name),
                    valid_until: serves_until(Some(membership), now),
                });
            }
        }
        let next_token = match last {
            Some(last) => token.seal(&*self.ports.sealer, last)?,
            None => String::new(),
        };
        Ok(Page { items, next_token })
    }
}

/// Whether the person lives in the workspace of the facts.
fn is_home(facts: &AccessFacts) -> bool {
    facts.account.as_ref().is_some_and(|account| account.home == facts.workspace.id)
}

/// Outside the home every cause in the account or the home is one and the same: the account is not usable.
fn seen_from_outside(gates: Vec<(Gate, Result<(), Denial>)>) -> Vec<(Gate, Result<(), Denial>)> {
    let home = gates.iter().find(|(gate, _)| *gate == Gate::Home).map_or(Ok(()), |(_, verdict)| *verdict);
    let shown = gates.into_iter().filter(|(gate, _)| *gate != Gate::Home);
    shown
        .map(|(gate, verdict)| if gate == Gate::Account { (gate, verdict.and(home)) } else { (gate, verdict) })
        .collect()
}

/// Only a service that may ask everywhere learns that there is no such workspace, in the words for a stranger.
fn no_such_workspace(now: Timestamp) -> Explanation {
    let verdict = Err(Denial::NoMembership);
    let report = GateReport { gate: Gate::Membership, verdict, evidence: Evidence::Membership(None) };
    let remedy = Remedy { action: RemedyAction::AssignPerson, may_apply: false, roles: Vec::new() };
    Explanation {
        answer: answer_until(verdict, None, now),
        gates: vec![report],
        failing: Some(Gate::Membership),
        remedies: vec![remedy],
        partial: false,
    }
}

/// By what a permission is granted to the person of the facts.
fn sources(facts: &AccessFacts, permission: &PermissionName) -> Vec<GrantSource> {
    let grants = facts.membership.as_ref().map(|membership| &membership.base().grants);
    let direct = grants.is_some_and(|grants| grants.permissions.contains(permission)).then_some(GrantSource::Direct);
    let by_role = facts.roles.iter().filter(|role| role.permissions.contains(permission)).map(|role| {
        let own = grants.is_some_and(|grants| grants.roles.contains(&role.id));
        GrantSource::Role { role: role.id, handle: role.handle.clone(), own }
    });
    direct.into_iter().chain(by_role).collect()
}
