//! A new workspace with its first manager: the other door through which accounts appear.

use std::collections::BTreeSet;

use async_trait::async_trait;

use super::api::{Call, CreateWorkspace, CreateWorkspaceReply};
use super::enrol::{EventLog, Fixed, Newcomer, NoticeOf};
use super::input::{Profile, field, profile};
use super::probe::Probe;
use super::record::Deed;
use super::replay::{Repeatable, replayed_row};
use super::resolve::{Contacts, resolve};
use super::run_tx::{Command, Finish};
use super::service::Domicile;
use super::token::TouchedRows;
use super::view::{Viewer, member_view};
use crate::error::{Reason, Refusal, Violation};
use crate::event::EventBody;
use crate::model::actor::ServiceScope;
use crate::model::answer::{CreateWorkspaceAnswer, StoredAnswer};
use crate::model::audit::{AuditAction, AuditRecord};
use crate::model::budget::BudgetStanding;
use crate::model::email::EmailAddress;
use crate::model::id::{RequestId, RoleId, UserId, WorkspaceId};
use crate::model::language::LanguageTag;
use crate::model::membership::Grants;
use crate::model::name::{Handle, Name};
use crate::model::notice::NoticeKind;
use crate::model::phone::Region;
use crate::model::relationship::Ceiling;
use crate::model::role::{BuiltInRole, Role};
use crate::model::time::Revision;
use crate::model::workspace::{NewWorkspace, Workspace, WorkspaceRef};
use crate::policy::resolver::LookupOutcome;
use crate::port::directory::MemberRow;
use crate::port::store::{Constraint, StoreError, UnitOfWork};

struct Create<'a> {
    domicile: &'a Domicile,
    call: &'a Call,
    request: &'a CreateWorkspace,
    request_id: Option<RequestId>,
    audit: AuditRecord,
    fixed: Fixed,
    probe: Probe,
    workspace: WorkspaceId,
    roles: [(BuiltInRole, RoleId); 3],
}

struct Created {
    answer: CreateWorkspaceAnswer,
    workspace: Option<Workspace>,
    manager: Option<MemberRow>,
    consistency_token: String,
    replayed: bool,
}

/// A request whose every field was read.
struct Read {
    new: NewWorkspace,
    profile: Profile,
    email: EmailAddress,
    contacts: Contacts,
}

#[async_trait]
impl Command for Create<'_> {
    type Output = (Created, Vec<BudgetStanding>);

    /// Lost races on who was first look again: the winner is found then.
    fn reruns_on(&self, error: &StoreError) -> bool {
        matches!(
            error,
            StoreError::Conflict(Constraint::ContactKey | Constraint::WorkspaceHandle | Constraint::Request)
        )
    }

    fn finds_its_own_effect(&self) -> bool {
        self.request_id.is_some()
    }

    async fn run(&self, tx: &mut dyn UnitOfWork) -> Result<Finish<Self::Output>, Refusal> {
        let budget = self.probe.admit(tx).await?;
        Ok(self.work(tx).await?.map(|created| (created, budget)))
    }
}

impl Create<'_> {
    async fn work(&self, tx: &mut dyn UnitOfWork) -> Result<Finish<Created>, Refusal> {
        let service = &self.call.actor.service;
        let may = service.operator || service.may_everywhere(&ServiceScope::WorkspacesCreate);
        // Whom the service names stands as the maker, so that a grant for some workspaces does not serve here.
        if !may || !self.call.actor.reaches(None) {
            return Err(Refusal::new(Reason::PermissionDenied));
        }
        if let Some(answer) = self.repeatable().replay(tx).await? {
            return self.replayed(tx, answer).await;
        }
        let read = self.read()?;
        if tx.workspaces().find(&WorkspaceRef::Handle(read.new.handle.clone())).await?.is_some() {
            return Err(Refusal::new(Reason::HandleTaken).with("field", "handle"));
        }
        // Nobody acts here, so that there is nobody to be read for nobody.
        let found = resolve(tx, self.workspace, UserId::nil(), &read.contacts, self.fixed.now).await?;
        match found.outcome {
            LookupOutcome::ConflictingMatch => return Err(Refusal::new(Reason::ConflictingMatch)),
            _ if found.email.or(found.phone).is_some() => {
                return Err(Refusal::new(Reason::FounderHasHome));
            }
            LookupOutcome::NotFound => {}
            _ => return Err(Refusal::new(Reason::NotLinkable)),
        }
        let created = self.write(tx, read).await?;
        Ok(if self.request.validate_only { Finish::Discard(created) } else { Finish::Commit(created) })
    }

    fn repeatable(&self) -> Repeatable<'_> {
        Repeatable {
            call: self.call,
            action: AuditAction::CreateWorkspace,
            request_id: self.request_id,
            fingerprint: self.request.request.fingerprint,
        }
    }

    async fn replayed(&self, tx: &mut dyn UnitOfWork, answer: StoredAnswer) -> Result<Finish<Created>, Refusal> {
        let StoredAnswer::CreateWorkspace(answer) = answer else {
            return Err(Refusal::new(Reason::RequestIdReused));
        };
        let workspace = tx.workspaces().find(&WorkspaceRef::Id(answer.workspace)).await?;
        let manager = replayed_row(tx, answer.workspace, answer.manager, answer.membership).await?;
        let consistency_token = self.consistency_token(&answer)?;
        Ok(Finish::Discard(Created { answer, workspace, manager, consistency_token, replayed: true }))
    }

    /// Sealed in the unit: a workspace whose answer cannot be given is not made.
    fn consistency_token(&self, answer: &CreateWorkspaceAnswer) -> Result<String, Refusal> {
        TouchedRows::new(vec![(answer.workspace, answer.revision)]).seal(&*self.domicile.ports.sealer)
    }

    fn read(&self) -> Result<Read, Refusal> {
        let request = self.request;
        let mut wrong = Vec::new();
        if self.request_id.is_none() {
            wrong.push(Violation::new("request_id", "give a new UUID for each save; the same one repeats it safely"));
        }
        let handle = field(&mut wrong, "handle", Handle::parse(&request.handle));
        let display_name = field(&mut wrong, "display_name", Name::parse(&request.display_name));
        let region = field(&mut wrong, "default_region", Region::parse(&request.default_region));
        let region = region.filter(|region| {
            let known = self.domicile.ports.phones.knows(*region);
            if !known {
                wrong.push(Violation::new(
                    "default_region",
                    format!("`{region}` is not a region; give two letters such as HU or DE"),
                ));
            }
            known
        });
        let language = field(&mut wrong, "default_language", LanguageTag::parse(&request.default_language));
        if request.manager_email.trim().is_empty() {
            wrong.push(Violation::new("manager.email", "an email address is needed, for example anna@acme.example"));
        }
        let contacts = region.map(|region| {
            Contacts::read(
                &*self.domicile.ports.phones,
                region,
                ("manager.email", &request.manager_email),
                ("manager.phone", &request.manager_phone),
                &mut wrong,
            )
        });
        let profile = profile("manager.profile", &request.manager, &mut wrong);
        match (handle, display_name, region, language, contacts, profile) {
            (
                Some(handle),
                Some(display_name),
                Some(default_region),
                Some(default_language),
                Some(contacts),
                Some(profile),
            ) if wrong.is_empty() => {
                let Some(email) = contacts.email.clone() else {
                    return Err(Refusal::invalid(wrong));
                };
                let new = NewWorkspace { handle, display_name, default_region, default_language };
                Ok(Read { new, profile, email, contacts })
            }
            _ => Err(Refusal::invalid(wrong)),
        }
    }

    async fn write(&self, tx: &mut dyn UnitOfWork, read: Read) -> Result<Created, Refusal> {
        let now = self.fixed.now;
        let of = |kind: BuiltInRole| self.roles.iter().filter(move |(k, _)| *k == kind).map(|(_, id)| *id);
        let ceiling = Ceiling { roles: of(BuiltInRole::Guest).collect(), permissions: BTreeSet::new() };
        let workspace = Workspace::create(self.workspace, read.new, ceiling, now);
        tx.workspaces().insert(&workspace).await?;
        for (kind, id) in self.roles {
            let role = Role::built_in(kind, id, workspace.id).map_err(|e| StoreError::Fault(e.to_string()))?;
            tx.roles().insert(&role).await?;
        }
        let newcomer = Newcomer {
            profile: read.profile,
            email: read.email,
            phone: read.contacts.phone,
            in_own_domain: false,
            grants: Grants { roles: of(BuiltInRole::AccessManager).collect(), permissions: BTreeSet::new() },
            external_id: None,
        };
        let mut log = EventLog::new(workspace.id, Revision::FIRST, self.call.actor.user_id(), &self.fixed);
        log.write(tx, EventBody::WorkspaceCreated {}).await?;
        let (user, membership) =
            self.domicile.create_internal(tx, workspace.id, &newcomer, &self.fixed, &mut log).await?;
        if let Some(person) = &user.person {
            let of = NoticeOf {
                kind: NoticeKind::Onboarding,
                workspace: workspace.id,
                home: &workspace,
                membership: &membership,
                person,
                actor: self.call.actor.user_id(),
            };
            self.domicile.queue_notice(tx, of, &self.fixed).await?;
        }
        let answer = CreateWorkspaceAnswer {
            workspace: workspace.id,
            manager: user.id,
            membership: membership.base().id,
            notice: self.fixed.notice,
            revision: Revision::FIRST,
        };
        let row = AuditRecord {
            workspace: Some(workspace.id),
            subject: Some(user.id),
            outcome: "done".to_owned(),
            ..self.audit.clone()
        };
        tx.records().audit(&row, &[]).await?;
        self.repeatable().keep(tx, StoredAnswer::CreateWorkspace(answer.clone()), now).await?;
        Ok(Created {
            consistency_token: self.consistency_token(&answer)?,
            answer,
            workspace: Some(workspace),
            manager: Some(MemberRow { membership, user, home: None, relationship: None }),
            replayed: false,
        })
    }
}

impl Domicile {
    pub(super) async fn create(&self, call: &Call, request: &CreateWorkspace) -> Result<CreateWorkspaceReply, Refusal> {
        let request_id = request.request.id.parse().ok();
        let deed = Deed { call, action: AuditAction::CreateWorkspace, workspace: &request.handle, request_id };
        match self.make(&deed, request).await {
            Ok((created, budget)) => self.create_reply(&deed, request, created, budget).await,
            Err(refusal) => self.refuse(&deed, refusal).await,
        }
    }

    async fn make(
        &self,
        deed: &Deed<'_>,
        request: &CreateWorkspace,
    ) -> Result<(Created, Vec<BudgetStanding>), Refusal> {
        let Deed { call, request_id, .. } = *deed;
        // A service makes workspaces for nobody, and the workspace is not there yet: the service's budget alone counts.
        let probe = self.count_probe(call, None).await?;
        let fixed = Fixed::new(self);
        let audit = deed.row(self, "", fixed.now);
        let command = Create {
            domicile: self,
            call,
            request,
            request_id,
            audit,
            fixed,
            probe,
            workspace: self.new_id(),
            roles: BuiltInRole::ALL.map(|kind| (kind, self.new_id())),
        };
        self.runner.run(&command, call.deadline).await
    }

    async fn create_reply(
        &self,
        deed: &Deed<'_>,
        request: &CreateWorkspace,
        created: Created,
        budget: Vec<BudgetStanding>,
    ) -> Result<CreateWorkspaceReply, Refusal> {
        if request.validate_only {
            self.record_alone(deed, "rehearsed", Vec::new()).await?;
            return Ok(CreateWorkspaceReply {
                workspace: None,
                manager: None,
                notice: None,
                consistency_token: None,
                replayed: false,
                budget,
            });
        }
        let now = self.now();
        Ok(CreateWorkspaceReply {
            workspace: created.workspace,
            manager: created.manager.map(|row| member_view(&self.policies, row, Viewer::Manager, now)),
            notice: Some(created.answer.notice),
            consistency_token: Some(created.consistency_token),
            replayed: created.replayed,
            budget,
        })
    }
}
