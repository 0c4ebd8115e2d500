//! The schema, as SQL written by hand for each engine: one step a file, forward only.

use sea_orm::DbBackend;
use sea_orm_migration::prelude::*;

pub(crate) struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        STEPS.into_iter().map(|step| Box::new(step) as _).collect()
    }
}

/// Every step, in order.
const STEPS: [Step; 3] = [
    Step {
        name: "m0001_first",
        postgres: include_str!("m0001_first.postgres.sql"),
        sqlite: include_str!("m0001_first.sqlite.sql"),
    },
    Step {
        name: "m0002_budgets",
        postgres: include_str!("m0002_budgets.postgres.sql"),
        sqlite: include_str!("m0002_budgets.sqlite.sql"),
    },
    Step {
        name: "m0003_groups",
        postgres: include_str!("m0003_groups.postgres.sql"),
        sqlite: include_str!("m0003_groups.sqlite.sql"),
    },
];

/// One step, in the words of each engine.
#[derive(Clone, Copy)]
struct Step {
    name: &'static str,
    postgres: &'static str,
    sqlite: &'static str,
}

impl MigrationName for Step {
    fn name(&self) -> &str {
        self.name
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Step {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    #[expect(elided_lifetimes_in_paths, reason = "the trait declares it so, and an explicit lifetime does not match")]
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let sql = match manager.get_database_backend() {
            DbBackend::Postgres => self.postgres,
            DbBackend::Sqlite => self.sqlite,
            other => return Err(DbErr::Migration(format!("there is no schema for {other:?}"))),
        };
        manager.get_connection().execute_unprepared(sql).await.map(|_| ())
    }
}
