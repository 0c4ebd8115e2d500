//! The example of a development instance. Every step has a fixed request id, so that a start after a crash completes what
//! is missing and a later start changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, anyhow};
use async_trait::async_trait;
use domicile_domain::error::Refusal;
use domicile_domain::model::actor::{ActingUser, Actor, Means};
use domicile_domain::model::answer::RequestFingerprint;
use domicile_domain::model::id::{Id, UserId, WorkspaceId};
use domicile_domain::model::name::{Handle, Name};
use domicile_domain::model::permission::{Permission, PermissionName};
use domicile_domain::model::relationship::{self, Ceiling, HomeTerms, HostTerms, WorkspaceRelationship};
use domicile_domain::model::role::Role;
use domicile_domain::model::time::{Timestamp, Version};
use domicile_domain::port::runtime::{Clock, Ids};
use domicile_domain::port::store::{StoreError, UnitOfWork};
use domicile_domain::usecase::{
    AssignUser, Call, Command, CreateWorkspace, DomicileApi, Expectation, ExternalInput, Finish, GrantsInput,
    ProfileInput, RequestIdentity, TxRunner,
};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

use crate::auth::DevelopmentAuthenticator;
use crate::credentials::Person;

/// What seeding needs.
pub(crate) struct Seeder {
    pub(crate) api: Arc<dyn DomicileApi>,
    pub(crate) runner: TxRunner,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn Ids>,
}

struct Example {
    short: &'static str,
    workspace: &'static str,
    names: (&'static str, &'static str),
    email: &'static str,
    language: &'static str,
    roles: &'static [&'static str],
}

const MANAGERS: [(&str, &str, &str, Example); 2] = [
    (
        "Acme",
        "US",
        "en",
        Example {
            short: "dana",
            workspace: "acme",
            names: ("Dana", "Reyes"),
            email: "d.reyes@acme.example",
            language: "en",
            roles: &[],
        },
    ),
    (
        "Borealis",
        "DE",
        "de",
        Example {
            short: "lena",
            workspace: "borealis",
            names: ("Lena", "Berg"),
            email: "l.berg@borealis.example",
            language: "de",
            roles: &[],
        },
    ),
];

const MEMBERS: [Example; 3] = [
    Example {
        short: "sam",
        workspace: "acme",
        names: ("Sam", "Whitfield"),
        email: "s.whitfield@acme.example",
        language: "en",
        roles: &["member", "project-lead"],
    },
    Example {
        short: "mbali",
        workspace: "borealis",
        names: ("Mbali", "Okafor"),
        email: "m.okafor@borealis.example",
        language: "de",
        roles: &["member"],
    },
    Example {
        short: "jonas",
        workspace: "borealis",
        names: ("Jonas", "Keller"),
        email: "j.keller@borealis.example",
        language: "de",
        roles: &["member"],
    },
];

/// A request id that is the same at every start.
fn fixed_request(place: u64) -> RequestIdentity {
    RequestIdentity {
        id: Uuid::from_u64_pair(0x0190_0000_0000_7000, 0x8000_0000_0000_0000 | place).to_string(),
        fingerprint: RequestFingerprint([0; 32]),
    }
}

fn refused(step: &'static str) -> impl Fn(Refusal) -> anyhow::Error {
    move |refusal| anyhow!("{step}: {refusal} ({})", refusal.reason.as_str())
}

impl Seeder {
    /// Makes what is missing of the example and answers its people by short name.
    pub(crate) async fn seed(&self) -> Result<BTreeMap<String, Person>> {
        let mut people = BTreeMap::new();
        let mut managers = Vec::new();
        for (place, (display, region, language, manager)) in (0..).zip(&MANAGERS) {
            let (workspace, user) = self.workspace(place, display, region, language, manager).await?;
            people.insert(manager.short.to_owned(), person(manager, user));
            managers.push((manager.workspace, workspace, user));
        }
        let id_of = |handle: &str| managers.iter().find(|(h, _, _)| *h == handle).map(|(_, w, u)| (*w, *u));
        let (acme, dana) = id_of("acme").context("the example has no acme")?;
        let (borealis, lena) = id_of("borealis").context("the example has no borealis")?;
        let terms =
            Terms { acme, borealis, dana, lena, now: self.clock.now(), ids: std::array::from_fn(|_| self.ids.uuid()) };
        self.runner.run(&terms, self.deadline()).await.map_err(refused("the example's roles and relationship"))?;
        for (place, member) in (100..).zip(&MEMBERS) {
            let (_, manager) = id_of(member.workspace).context("the example has a member without a manager")?;
            let user = self.member(place, member, manager).await?;
            people.insert(member.short.to_owned(), person(member, user));
        }
        Ok(people)
    }

    fn deadline(&self) -> Timestamp {
        self.clock.now().after(Duration::from_secs(30))
    }

    fn call(&self, user: Option<UserId>) -> Call {
        Call {
            actor: Actor {
                service: DevelopmentAuthenticator::principal(),
                user: user.map(|id| ActingUser { id, means: Means::OwnToken }),
            },
            deadline: self.deadline(),
            correlation_id: "example".to_owned(),
            surface: "embedded",
        }
    }

    async fn workspace(
        &self,
        place: u64,
        display: &str,
        region: &str,
        language: &str,
        manager: &Example,
    ) -> Result<(WorkspaceId, UserId)> {
        let request = CreateWorkspace {
            request: fixed_request(place),
            handle: manager.workspace.to_owned(),
            display_name: display.to_owned(),
            default_region: region.to_owned(),
            default_language: language.to_owned(),
            manager_email: manager.email.to_owned(),
            manager_phone: String::new(),
            manager: profile(manager),
            validate_only: false,
        };
        let created =
            self.api.create_workspace(&self.call(None), &request).await.map_err(refused("an example workspace"))?;
        let workspace =
            created.workspace.context("an example workspace is gone; delete the data folder to start over")?;
        let manager = created.manager.context("an example manager is gone; delete the data folder to start over")?;
        Ok((workspace.id, manager.membership.base().user))
    }

    async fn member(&self, place: u64, member: &Example, manager: UserId) -> Result<UserId> {
        let roles = member.roles.iter().map(|role| (*role).to_owned()).collect();
        let request = AssignUser {
            workspace: member.workspace.to_owned(),
            request: fixed_request(place),
            expectation: Some(Expectation::Create),
            email: member.email.to_owned(),
            phone: String::new(),
            match_handle: String::new(),
            profile: profile(member),
            internal: GrantsInput { roles, permissions: Vec::new() },
            external: ExternalInput::default(),
            external_id: String::new(),
            notify: Some(false),
            validate_only: false,
        };
        let saved =
            self.api.assign_user(&self.call(Some(manager)), &request).await.map_err(refused("an example member"))?;
        let member = saved.member.context("an example member is gone; delete the data folder to start over")?;
        Ok(member.membership.base().user)
    }
}

fn person(example: &Example, user: UserId) -> Person {
    Person {
        name: format!("{} {}", example.names.0, example.names.1),
        user: user.to_string(),
        workspace: example.workspace.to_owned(),
        email: example.email.to_owned(),
    }
}

fn profile(example: &Example) -> ProfileInput {
    let username = example.email.split('@').next().unwrap_or_default();
    ProfileInput {
        first_name: example.names.0.to_owned(),
        last_name: example.names.1.to_owned(),
        username: username.to_owned(),
        preferred_language: example.language.to_owned(),
    }
}

/// Permissions, roles and the relationship of the example, as far as they are missing.
struct Terms {
    acme: WorkspaceId,
    borealis: WorkspaceId,
    dana: UserId,
    lena: UserId,
    now: Timestamp,
    ids: [Uuid; 3],
}

impl Terms {
    async fn role(
        &self,
        tx: &mut dyn UnitOfWork,
        id: Uuid,
        handle: &str,
        name: &str,
        permissions: &[&PermissionName],
        for_externals: bool,
    ) -> Result<Role, Refusal> {
        let roles = tx.roles().of_workspace(self.acme).await?;
        if let Some(role) = roles.into_iter().find(|role| role.handle.as_str() == handle) {
            return Ok(role);
        }
        let role = Role {
            id: Id::from_uuid(id),
            workspace: self.acme,
            handle: Handle::parse(handle).map_err(fault)?,
            display_name: Name::parse(name).map_err(fault)?,
            permissions: permissions.iter().map(|p| (*p).clone()).collect(),
            for_externals,
            built_in: None,
            version: Version::FIRST,
        };
        tx.roles().insert(&role).await?;
        Ok(role)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it stands in map_err, which hands the error over")]
fn fault(error: impl ToString) -> StoreError {
    StoreError::Fault(error.to_string())
}

#[async_trait]
impl Command for Terms {
    type Output = ();

    async fn run(&self, tx: &mut dyn UnitOfWork) -> Result<Finish<()>, Refusal> {
        let read = PermissionName::parse("projects.read").map_err(fault)?;
        let write = PermissionName::parse("projects.write").map_err(fault)?;
        for (name, description) in [(&read, "See projects"), (&write, "Change projects")] {
            let permission = Permission {
                name: name.clone(),
                description: description.to_owned(),
                registered_by: "projects".to_owned(),
                registered_at: self.now,
                retired_at: None,
            };
            tx.roles().register(&permission).await?;
        }
        let [lead, guest, agreed] = self.ids;
        self.role(tx, lead, "project-lead", "Project lead", &[&read, &write], false).await?;
        let project_guest = self.role(tx, guest, "project-guest", "Project guest", &[&read], true).await?;
        let live = tx.relationships().find(self.acme, self.borealis).await?;
        // What was ended since is not begun anew.
        if live.is_some() || tx.relationships().agreed(self.acme, self.borealis).await?.is_some() {
            return Ok(Finish::Commit(()));
        }
        let roles = tx.roles().of_workspace(self.acme).await?;
        let shipped = roles.iter().filter(|role| role.handle.as_str() == "guest").map(|role| role.id);
        let host_terms = HostTerms {
            ceiling: Ceiling { roles: shipped.chain([project_guest.id]).collect(), permissions: BTreeSet::new() },
            ..HostTerms::default()
        };
        let mut agreed = WorkspaceRelationship::propose(
            Id::from_uuid(agreed),
            (self.acme, self.borealis),
            relationship::Terms::Host(host_terms),
            self.dana,
            self.now,
        );
        let home_terms = HomeTerms { allows_host: true, ..HomeTerms::default() };
        agreed.approve(self.lena, relationship::Terms::Home(home_terms), self.now).map_err(fault)?;
        tx.relationships().insert(&agreed).await?;
        Ok(Finish::Commit(()))
    }
}
