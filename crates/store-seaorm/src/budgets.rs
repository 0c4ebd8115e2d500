//! Counters of budgets.

use async_trait::async_trait;
use domicile_domain::model::budget::{BudgetKey, Counter, Tally};
use domicile_domain::model::time::Timestamp;
use domicile_domain::port::store::{BudgetRepository, StoreError};
use sea_orm::sea_query::{Alias, Expr, ExprTrait, OnConflict, Query};
use sea_orm::{ColumnTrait, Condition, EntityTrait, IntoActiveModel, QueryFilter, QueryTrait};

use crate::convert::{At, Word, model};
use crate::entity::budget_counter::{Column, Entity, Model};
use crate::unit_of_work::Lent;

const TABLE: &str = "budget_counters";

fn tally_of(row: &Model) -> Result<Tally, StoreError> {
    let at = At::new(TABLE, &row.subject);
    Ok(Tally {
        period: row.period,
        count: at.read("counted", u64::try_from(row.counted))?,
        before: at.read("counted_before", u64::try_from(row.counted_before))?,
    })
}

/// Whether a row is the counter's, or, without a slot, one of the budget's.
fn is_of(row: &Model, key: &BudgetKey, slot: Option<i16>) -> bool {
    row.kind == key.kind().word() && row.subject == key.subject() && slot.is_none_or(|slot| row.slot == i64::from(slot))
}

/// What becomes of a counter that is there already: [`Tally::counted`] in the engine's words, so that counting is one
/// statement and units that count at once wait for each other's rows.
fn counted_again() -> OnConflict {
    let held = |column: Column| Expr::col((Entity, column));
    let new = |column: Column| Expr::col((Alias::new("excluded"), column));
    let going_on = || {
        let ahead = new(Column::Period).add(1);
        held(Column::Period).eq(new(Column::Period)).or(held(Column::Period).eq(ahead))
    };
    let just_over = held(Column::Period).add(1).eq(new(Column::Period));
    let period = Expr::case(going_on(), held(Column::Period)).finally(new(Column::Period));
    let counted = Expr::case(going_on(), held(Column::Counted).add(1)).finally(new(Column::Counted));
    let before = Expr::case(going_on(), held(Column::CountedBefore))
        .case(just_over, held(Column::Counted))
        .finally(new(Column::CountedBefore));
    OnConflict::columns([Column::Kind, Column::Subject, Column::Slot])
        .value(Column::Period, period)
        .value(Column::Counted, counted)
        .value(Column::CountedBefore, before)
        .to_owned()
}

#[async_trait]
impl BudgetRepository for Lent<'_> {
    async fn count(&mut self, counters: &[Counter], now: Timestamp) -> Result<Vec<Tally>, StoreError> {
        let first = counters.iter().map(|counter| {
            let kind = counter.key.kind();
            Model {
                kind: kind.word().to_owned(),
                subject: counter.key.subject(),
                slot: i64::from(counter.slot),
                period: kind.period(now),
                counted: 1,
                counted_before: 0,
            }
            .into_active_model()
        });
        let mut insert = Entity::insert_many(first).on_conflict(counted_again());
        QueryTrait::query(&mut insert).returning(Query::returning().all());
        let statement = insert.build(self.exec.backend());
        let rows = self.exec.all(statement).await?;
        let tallies = in_order(counters, &rows.iter().map(|row| model(TABLE, row)).collect::<Result<Vec<_>, _>>());
        self.checked(tallies)
    }

    async fn tallies(&mut self, budgets: &[BudgetKey]) -> Result<Vec<(BudgetKey, Tally)>, StoreError> {
        let asked = budgets.iter().fold(Condition::any(), |any, key| {
            any.add(Column::Kind.eq(key.kind().word()).and(Column::Subject.eq(key.subject())))
        });
        let probes = Column::Slot.gt(i64::from(Counter::REFUSALS));
        let statement = Entity::find().filter(asked).filter(probes).build(self.exec.backend());
        let rows = self.exec.all(statement).await?;
        let told = rows.iter().map(|row| tally_of_one(budgets, &model(TABLE, row)?)).collect();
        self.checked(told)
    }
}

/// The tally with the one of the budgets whose it is.
fn tally_of_one(budgets: &[BudgetKey], row: &Model) -> Result<(BudgetKey, Tally), StoreError> {
    let own = budgets.iter().find(|key| is_of(row, key, None));
    let own = own.ok_or_else(|| At::new(TABLE, &row.subject).corrupt("subject", "of no budget that was asked for"))?;
    Ok((own.clone(), tally_of(row)?))
}

/// The tallies in the order of their counters; the engine answers in its own.
fn in_order(counters: &[Counter], rows: &Result<Vec<Model>, StoreError>) -> Result<Vec<Tally>, StoreError> {
    let rows = rows.as_ref().map_err(Clone::clone)?;
    let of = |counter: &Counter| {
        let own = rows.iter().find(|row| is_of(row, &counter.key, Some(counter.slot)));
        own.map_or_else(|| Err(At::new(TABLE, counter.key.subject()).corrupt("counted", "no row came back")), tally_of)
    };
    counters.iter().map(of).collect()
}
