//! The schema, as SQL written by hand: one step a file, forward only.

use sea_orm_migration::prelude::*;

pub(crate) struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![Box::new(First)]
    }
}

struct First;

impl MigrationName for First {
    fn name(&self) -> &'static str {
        "m0001_first"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for First {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    #[expect(elided_lifetimes_in_paths, reason = "the trait declares it so, and an explicit lifetime does not match")]
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.get_connection().execute_unprepared(include_str!("sqlite.sql")).await.map(|_| ())
    }
}
