//! What SeaORM costs, in this process: P7.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use domicile_domain::event::{Event, EventBody};
use domicile_domain::model::answer::{
    AnsweredRequest, AssignAnswer, AssignOutcome, RequestFingerprint, RequestKey, StoredAnswer,
};
use domicile_domain::model::audit::{AuditAction, AuditChange, AuditRecord, PersonalValue};
use domicile_domain::model::budget::BudgetKey;
use domicile_domain::model::contact::Contact;
use domicile_domain::model::email::EmailAddress;
use domicile_domain::model::id::Id;
use domicile_domain::model::language::LanguageTag;
use domicile_domain::model::membership::{Grants, InternalMembership, Membership, MembershipBase, MembershipKind};
use domicile_domain::model::name::{Name, Username};
use domicile_domain::model::time::{Timestamp, Version};
use domicile_domain::model::user::{Identity, Person, User};
use domicile_domain::model::workspace::WorkspaceRef;
use domicile_domain::port::directory::Directory;
use domicile_domain::port::store::Store;
use domicile_store_seaorm::{Database, SeaOrmStore};
use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};
use sea_orm::sqlx::{self, ConnectOptions, Connection, Row};
use uuid::Uuid;

use super::saves::Control;
use super::{Bench, Sides, Size, each_us, measured, written};
use crate::control::save::{Save, Script, Synchronous, connect, save as save_by_hand};
use crate::figure::{Measured, Side};
use crate::process::own_cpu;
use crate::work::{Disk, Durability, Evidence, Flushes, Tables, Work, fsync_floor_us};
use crate::world::World;

/// The statement that the store runs for an identity, as SeaORM writes it.
const BY_IDENTITY: &str = r#"SELECT "identities"."issuer", "identities"."subject", "identities"."user_id", "identities"."bound_at" FROM "identities" WHERE "identities"."issuer" = ? AND "identities"."subject" = ?"#;

/// Readers with the settings of the product's.
async fn readers(path: &Path) -> Result<SqlitePool> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .read_only(true)
        .foreign_keys(true)
        .busy_timeout(Duration::from_secs(5))
        .statement_cache_capacity(512)
        .pragma("trusted_schema", "OFF")
        .pragma("mmap_size", "0")
        .pragma("secure_delete", "ON")
        .disable_statement_logging();
    let pool =
        SqlitePoolOptions::new().max_connections(4).test_before_acquire(false).idle_timeout(None).max_lifetime(None);
    Ok(pool.connect_with(options).await?)
}

async fn read_by_hand(pool: &SqlitePool, identity: &Identity) -> Result<Option<Uuid>> {
    let mut transaction = pool.begin().await?;
    let query = sqlx::query(BY_IDENTITY).bind(&identity.issuer).bind(&identity.subject);
    let row = query.fetch_optional(&mut *transaction).await?;
    let Some(row) = row else { return Ok(None) };
    let read: (String, String, Uuid, i64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
    Ok(Some(read.2))
}

/// Runs `each` again and again, and counts the CPU of this process.
async fn counted(time: Duration, mut each: impl AsyncFnMut(u64) -> Result<()>) -> Result<Side> {
    let (cpu, started) = (own_cpu(), Instant::now());
    let mut calls = 0;
    while started.elapsed() < time {
        each(calls).await?;
        calls += 1;
    }
    let cpu = own_cpu().saturating_sub(cpu);
    Ok(Side { calls, seconds: started.elapsed().as_secs_f64(), cpu_us: Some(each_us(cpu, calls)), ..Side::default() })
}

pub(super) async fn point_read(bench: &Bench) -> Result<Measured> {
    let folder = bench.work_folder("P7r")?;
    let path = bench.copy(Size::Middle, &folder, "data.db").await?;
    let world: &World = bench.world(Size::Middle);
    let known: Vec<(Identity, Uuid)> = (0..world.identities())
        .filter_map(|user| {
            let (issuer, subject) = world.identity(user)?;
            Some((Identity { issuer: issuer.to_owned(), subject }, world.user_id(user)))
        })
        .collect();
    let store = SeaOrmStore::open(&Database::SqliteFile(path.clone()), 1).await?;
    let pool = readers(&path).await?;
    let at = |number: u64| {
        let place = crate::world::mix(number) % world.identities().max(1);
        known.get(usize::try_from(place).unwrap_or(0)).ok_or_else(|| anyhow!("there are no identities"))
    };
    let by_hand = async |number| {
        let (identity, right) = at(number)?;
        ensure!(read_by_hand(&pool, identity).await? == Some(*right), "an answer was wrong: another user by hand");
        anyhow::Ok(())
    };
    let by_store = async |number| {
        let (identity, right) = at(number)?;
        let found = store.user_by_identity(identity).await?;
        ensure!(found.map(|id| id.as_uuid()) == Some(*right), "an answer was wrong: another user by the store");
        anyhow::Ok(())
    };
    let statements = store.statements();
    by_store(0).await?;
    ensure!(
        store.statements() - statements == 1,
        "unequal work: the store runs {} statements for a read, the control 1",
        store.statements() - statements
    );
    counted(bench.time() / 2, by_hand).await?;
    counted(bench.time() / 2, by_store).await?;
    let rounds = bench
        .rounds("P7r", async |_| counted(bench.time(), by_hand).await, async |_| counted(bench.time(), by_store).await)
        .await?;
    pool.close().await;
    let setting = format!("user by identity, one after the other, {} users, SQLite, in this process", world.users);
    measured("P7r", setting, rounds, |side| side.cpu_us)
}

/// The values of a save as the domain makes them.
struct Values {
    save: Save,
    user: User,
    membership: Membership,
    bodies: [EventBody; 2],
    audit: AuditRecord,
    personal: Vec<PersonalValue>,
    key: RequestKey,
}

fn values(save: Save) -> Result<Values> {
    let [user, membership, _, _, audit, request] = save.ids;
    let now = Timestamp::from_micros(save.now);
    let workspace = Id::from_uuid(save.workspace);
    let person = Person {
        first_name: Name::parse("New")?,
        last_name: Name::parse("Person")?,
        username: Username::parse(&save.username)?,
        preferred_language: LanguageTag::parse("en")?,
        email: Contact::asserted(EmailAddress::parse(&save.email)?, now),
        phone: None,
    };
    let base = MembershipBase {
        id: Id::from_uuid(membership),
        user: Id::from_uuid(user),
        workspace,
        grants: Grants { roles: BTreeSet::from([Id::from_uuid(save.role)]), permissions: BTreeSet::new() },
        assigned_by: Some(Id::from_uuid(save.actor)),
        assigned_at: now,
        external_id: None,
        version: Version::FIRST,
    };
    let began = EventBody::MembershipCreated {
        membership: base.id,
        user: base.user,
        membership_kind: MembershipKind::Internal,
        state: None,
        roles: vec![Id::from_uuid(save.role)],
    };
    let change =
        |path: &str, after: &str| AuditChange { path: path.to_owned(), before: None, after: Some(after.to_owned()) };
    Ok(Values {
        user: User::create(base.user, workspace, person, now),
        bodies: [EventBody::UserCreated { user: base.user }, began],
        audit: AuditRecord {
            id: Id::from_uuid(audit),
            workspace: Some(workspace),
            workspace_text: save.workspace.to_string(),
            service: "development".to_owned(),
            actor: base.assigned_by,
            action: AuditAction::AssignUser,
            outcome: "done".to_owned(),
            subject: Some(base.user),
            request_id: Some(Id::from_uuid(request)),
            correlation_id: request.to_string(),
            surface: "grpc".to_owned(),
            changes: vec![
                change("membership.kind", "INTERNAL"),
                change("membership.roles", "member"),
                change("membership.permissions", ""),
            ],
            at: now,
        },
        personal: vec![PersonalValue { user: Some(base.user), path: "email".to_owned(), value: save.email.clone() }],
        key: RequestKey {
            service: "development".to_owned(),
            user: Id::from_uuid(save.actor),
            method: "assign_user".to_owned(),
            request: Id::from_uuid(request),
        },
        membership: Membership::Internal(InternalMembership { base, groups: BTreeSet::new(), units: BTreeSet::new() }),
        save,
    })
}

/// One save through the ports of the store: what the use case writes, without what it reads and decides.
async fn save_by_store(store: &SeaOrmStore, values: &Values) -> Result<()> {
    let now = Timestamp::from_micros(values.save.now);
    let [_, _, created, began, _, _] = values.save.ids;
    let chance = values.save.slot.unsigned_abs();
    let mut tx = store.begin(Duration::from_secs(5)).await?;
    tx.budgets().count(&[BudgetKey::User(values.key.user).probes(chance)], now).await?;
    let shared =
        [BudgetKey::Workspace(Id::from_uuid(values.save.workspace)), BudgetKey::Service(values.key.service.clone())];
    tx.budgets().count(&shared.map(|key| key.probes(chance)), now).await?;
    tx.commit().await?;
    let mut tx = store.begin(Duration::from_secs(5)).await?;
    let reference = WorkspaceRef::Id(Id::from_uuid(values.save.workspace));
    let (workspace, revision) = tx.workspaces().take_revision(&reference).await?.context("no such workspace")?;
    tx.users().insert(&values.user).await?;
    tx.memberships().insert(&values.membership).await?;
    for ((index, id), body) in (0..).zip([created, began]).zip(&values.bodies) {
        let actor = values.audit.actor;
        let event = Event { id: Id::from_uuid(id), workspace, revision, index, actor, at: now, body: body.clone() };
        tx.records().event(&event).await?;
    }
    tx.records().audit(&values.audit, &values.personal).await?;
    let base = values.membership.base();
    let answer = AssignAnswer {
        outcome: AssignOutcome::CreatedInternal,
        workspace,
        user: base.user,
        membership: base.id,
        kind: MembershipKind::Internal,
        membership_version: base.version,
        notice: None,
        discarded_fields: Vec::new(),
        revision,
    };
    let answered = AnsweredRequest {
        key: values.key.clone(),
        fingerprint: RequestFingerprint([7; 32]),
        answer: StoredAnswer::AssignUser(answer),
        at: now,
    };
    tx.records().keep_answer(&answered).await?;
    tx.commit().await?;
    Ok(())
}

/// Saves of one side of a round; as many for each second of it.
const SAVES_A_SECOND: u64 = 300;

pub(super) async fn save(bench: &Bench) -> Result<Measured> {
    let folder = bench.work_folder("P7w")?;
    let paths =
        [bench.copy(Size::Small, &folder, "control.db").await?, bench.copy(Size::Small, &folder, "subject.db").await?];
    let [control_path, subject_path] = &paths;
    let world: Arc<World> = bench.world(Size::Small).clone();
    let subject_durability = Durability::of_sqlite_store(subject_path).await?;
    let mut connection = connect(control_path, Synchronous::Full).await?;
    let durability = Durability::of_sqlite(&mut connection).await?;
    let before = [Tables::of_sqlite(control_path).await?, Tables::of_sqlite(subject_path).await?];
    let store = SeaOrmStore::open(&Database::SqliteFile(subject_path.clone()), 1).await?;
    let mut relaxed = Control::new(bench, &folder, "relaxed.db", Synchronous::Normal).await?;
    relaxed.run(bench.time() / 2).await?;
    let disk = Disk { fsyncs_us: vec![fsync_floor_us(&folder)?], flushes_without: relaxed.flushes.each() };
    let (mut flushes_by_hand, mut flushes_by_store) = (Flushes::of(&folder)?, Flushes::of(&folder)?);

    let count = (u64::try_from(bench.time().as_millis())? * SAVES_A_SECOND / 1000).max(20);
    let (mut by_hand, mut by_store, mut statements) = (0, 0, 0);
    let began_at = store.statements();
    let mut control = async |_| -> Result<Side> {
        let rows: Vec<Save> = (0..count).map(|place| Save::of(&world, by_hand + place)).collect();
        let flushed = flushes_by_hand.so_far();
        let (cpu, started) = (own_cpu(), Instant::now());
        for row in &rows {
            statements += save_by_hand(&mut connection, row, Script::AsTheStore).await?;
        }
        by_hand += count;
        let cpu = each_us(own_cpu().saturating_sub(cpu), count);
        flushes_by_hand.add(flushed, count);
        Ok(Side { calls: count, seconds: started.elapsed().as_secs_f64(), cpu_us: Some(cpu), ..Side::default() })
    };
    let mut subject = async |_| -> Result<Side> {
        let rows = (0..count).map(|place| values(Save::of(&world, by_store + place)));
        let rows: Vec<Values> = rows.collect::<Result<_>>()?;
        let flushed = flushes_by_store.so_far();
        let (cpu, started) = (own_cpu(), Instant::now());
        for row in &rows {
            save_by_store(&store, row).await?;
        }
        by_store += count;
        let cpu = each_us(own_cpu().saturating_sub(cpu), count);
        flushes_by_store.add(flushed, count);
        Ok(Side { calls: count, seconds: started.elapsed().as_secs_f64(), cpu_us: Some(cpu), ..Side::default() })
    };
    control(0).await.context("control")?;
    subject(0).await.context("subject")?;
    let rounds = bench.rounds("P7w", control, subject).await?;
    let by_the_store = store.statements() - began_at;
    ensure!(
        by_the_store * by_hand == statements * by_store,
        "unequal work: the store ran {by_the_store} statements for {by_store} saves, the control {statements} for {by_hand}"
    );
    connection.close().await?;
    drop(store);
    let after = [Tables::of_sqlite(control_path).await?, Tables::of_sqlite(subject_path).await?];
    let ([control_before, subject_before], [control_after, subject_after]) = (before, after);
    let setting =
        format!("the rows of AssignUser through the store's ports, one after the other, {}", durability.words());
    let sides = Sides {
        control: Evidence {
            work: Work { operations: by_hand, before: control_before, after: control_after },
            durability,
            flushes: flushes_by_hand.each(),
        },
        subject: Evidence {
            work: Work { operations: by_store, before: subject_before, after: subject_after },
            durability: subject_durability,
            flushes: flushes_by_store.each(),
        },
        disk,
    };
    written("P7w", setting, rounds, &sides, |side| side.cpu_us)
}
