//! The schema, as SQL written by hand for each engine: one step a file, forward only.

use sea_orm::{ConnectionTrait, DbBackend, Statement};
use sea_orm_migration::prelude::*;

pub(crate) struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        STEPS.into_iter().map(|step| Box::new(step) as _).collect()
    }
}

/// Every step, in order.
const STEPS: [Step; 4] = [
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
    Step {
        name: "m0004_grants",
        postgres: include_str!("m0004_grants.postgres.sql"),
        sqlite: include_str!("m0004_grants.sqlite.sql"),
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
        let connection = manager.get_connection();
        connection.execute_unprepared(sql).await?;
        if manager.get_database_backend() == DbBackend::Sqlite {
            // A step that makes a table anew runs while keys between tables are not looked at.
            let broken = Statement::from_string(DbBackend::Sqlite, "PRAGMA foreign_key_check");
            if let Some(row) = connection.query_one_raw(broken).await? {
                let table: String = row.try_get("", "table")?;
                return Err(DbErr::Migration(format!("a row of {table} points at nothing")));
            }
        }
        Ok(())
    }
}
