//! A policy of an embedding program in place of the shipped one: the example of the guide, compiled and run.

use std::sync::Arc;

use domicile_domain::model::facts::AccessFacts;
use domicile_domain::model::membership::Membership;
use domicile_domain::model::permission::PermissionName;
use domicile_domain::model::relationship::Ceiling;
use domicile_domain::model::time::Timestamp;
use domicile_domain::policy::Policies;
use domicile_domain::policy::access::{AccessPolicy, Denial, Gate, ShippedAccessPolicy};
use domicile_domain::usecase::{Domicile, DomicileApi, ListSubjects, PageRequest, Ports};
use domicile_testkit::builders::minute;

use crate::support::{World, call, check, service_call};

/// People of other homes work between six and twenty o'clock UTC.
struct OfficeHours;

impl OfficeHours {
    fn is_open(facts: &AccessFacts, now: Timestamp) -> Result<(), Denial> {
        let hour = now.as_micros().div_euclid(3_600_000_000).rem_euclid(24);
        let visits = matches!(facts.membership, Some(Membership::External(_)));
        if visits && !(6..20).contains(&hour) { Err(Denial::NotGranted) } else { Ok(()) }
    }
}

impl AccessPolicy for OfficeHours {
    fn decide(
        &self,
        facts: &AccessFacts,
        ceiling: &Ceiling,
        permission: &PermissionName,
        now: Timestamp,
    ) -> Result<(), Denial> {
        ShippedAccessPolicy.decide(facts, ceiling, permission, now)?;
        Self::is_open(facts, now)
    }

    fn gates(
        &self,
        facts: &AccessFacts,
        ceiling: &Ceiling,
        permission: &PermissionName,
        now: Timestamp,
    ) -> Vec<(Gate, Result<(), Denial>)> {
        let mut gates = ShippedAccessPolicy.gates(facts, ceiling, permission, now);
        gates.push((Gate::Policy, Self::is_open(facts, now)));
        gates
    }
}

fn with_office_hours(ports: Ports) -> Domicile {
    let policies = Policies { access: Arc::new(OfficeHours), ..Policies::default() };
    Domicile::with_policies(ports, policies)
}

/// Midday, and the hours around the ends of the day.
const HOURS: [(u64, bool); 5] = [(0, false), (5, false), (6, true), (19, true), (20, false)];

#[tokio::test]
async fn checks_explanations_and_lists_go_by_the_own_policy() {
    let world = World::with(|plan| {
        plan.acme.policy.default_ceiling.roles.insert(plan.reader.id);
    })
    .await;
    let reader = world.reader.id;
    let visitor = world
        .visitor("visitor", |visit| {
            visit.base.grants.roles.insert(reader);
        })
        .await;
    let domicile = with_office_hours(world.ports.clone());
    // The tests' day begins at an hour of its own.
    let begun = u64::try_from(minute(0).as_micros() / 3_600_000_000 % 24).unwrap();
    let permission = "orders.read";
    for (hour, open) in HOURS {
        world.clock.set(minute((hour + 24 - begun) * 60));
        let asked = check("acme", visitor.id, permission);
        let decision = domicile.check_access(&service_call(), &asked).await.unwrap().decision;
        assert_eq!(decision.is_ok(), open, "{hour} o'clock");
        let told = domicile.explain_access(&service_call(), &asked).await.unwrap();
        assert_eq!(told.failing, (!open).then_some(Gate::Policy), "{hour} o'clock");
        assert!(told.gates.len() > 5, "the shipped gates are told too");
        let who = ListSubjects {
            workspace: "acme".to_owned(),
            permission: permission.to_owned(),
            page: PageRequest::default(),
            consistency: asked.consistency,
        };
        let subjects = domicile.list_subjects(&call(&world.dana), &who).await.unwrap().items;
        assert_eq!(subjects.len(), usize::from(open), "{hour} o'clock");
        // Whoever lives here works when they like.
        let own = check("acme", world.dana.id, "domicile.update");
        assert!(domicile.check_access(&service_call(), &own).await.unwrap().decision.is_ok(), "{hour} o'clock");
    }
}

/// The guide shows this very code, and it is short.
#[test]
fn the_guide_shows_what_runs_here() {
    let guide = include_str!("../../../docs/guide/embedding.md");
    let blocks: Vec<&str> = guide.split("```rust\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert_eq!(blocks.len(), 2, "the policy, and how it is put in");
    for block in blocks {
        assert!(include_str!("own_policy.rs").contains(block), "{block}");
        assert!(block.lines().count() < 40, "{}", block.lines().count());
    }
}
