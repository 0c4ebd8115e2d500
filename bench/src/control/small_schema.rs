//! The smallest sensible schema of memberships by hand: 16-byte ids, words as numbers, the same facts and the same indexes.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use sea_orm::sqlx::{self, AssertSqlSafe, Connection, Row};

use crate::data::sqlite::open;
use crate::stats::float;

const SCHEMA: &str = "
    CREATE TABLE memberships (
        workspace_id BLOB NOT NULL,
        user_id BLOB NOT NULL,
        id BLOB NOT NULL UNIQUE,
        kind INTEGER NOT NULL,
        state INTEGER,
        language TEXT,
        expires_at INTEGER,
        sponsor BLOB,
        external_id TEXT,
        assigned_by BLOB,
        assigned_at INTEGER NOT NULL,
        version INTEGER NOT NULL,
        typed_contact TEXT,
        PRIMARY KEY (workspace_id, user_id)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX memberships_typed ON memberships (user_id) WHERE typed_contact IS NOT NULL;
    CREATE UNIQUE INDEX memberships_internal ON memberships (user_id) WHERE kind = 0;
    CREATE UNIQUE INDEX memberships_external_id ON memberships (workspace_id, external_id) WHERE external_id IS NOT NULL;
    CREATE INDEX memberships_user ON memberships (user_id, workspace_id);
    CREATE TABLE membership_roles (
        workspace_id BLOB NOT NULL,
        user_id BLOB NOT NULL,
        role_id BLOB NOT NULL,
        PRIMARY KEY (workspace_id, user_id, role_id)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX membership_roles_role ON membership_roles (role_id);
    CREATE TABLE membership_permissions (
        workspace_id BLOB NOT NULL,
        user_id BLOB NOT NULL,
        permission INTEGER NOT NULL,
        PRIMARY KEY (workspace_id, user_id, permission)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE membership_groups (
        workspace_id BLOB NOT NULL,
        user_id BLOB NOT NULL,
        group_id BLOB NOT NULL,
        PRIMARY KEY (workspace_id, user_id, group_id)
    ) STRICT, WITHOUT ROWID;";

/// The rows of the product's tables in the order in which they were made, so that pages are as full on one side as on the
/// other.
const COPIES: [(&str, &str); 4] = [
    (
        "memberships",
        "SELECT m.workspace_id, m.user_id, m.id, m.kind <> 'INTERNAL', CASE m.state WHEN 'PENDING' THEN 0 WHEN 'ACTIVE' THEN 1 \
         WHEN 'SUSPENDED' THEN 2 WHEN 'REVIEW' THEN 3 END, m.language, m.expires_at, m.sponsor, m.external_id, m.assigned_by, \
         m.assigned_at, m.version, c.typed_contact FROM product.memberships m LEFT JOIN product.membership_contacts c ON \
         c.workspace_id = m.workspace_id AND c.user_id = m.user_id ORDER BY m.id",
    ),
    (
        "membership_roles",
        "SELECT m.workspace_id, m.user_id, r.role_id FROM product.memberships m JOIN product.roles o ON o.workspace_id = \
         m.workspace_id JOIN product.membership_roles r ON r.role_id = o.id AND r.user_id = m.user_id ORDER BY m.id",
    ),
    (
        "membership_permissions",
        "SELECT p.workspace_id, p.user_id, 1 FROM product.memberships m JOIN product.membership_permissions p ON \
         p.workspace_id = m.workspace_id AND p.user_id = m.user_id ORDER BY m.id",
    ),
    (
        "membership_groups",
        "SELECT o.workspace_id, g.user_id, g.group_id FROM product.membership_groups g JOIN product.groups o ON o.id = g.group_id",
    ),
];

/// The tables that hold what a living membership is, on either side; the hand-made schema has no table for contacts.
const TABLES: &str = "'memberships', 'membership_roles', 'membership_permissions', 'membership_contacts', \
                      'membership_groups'";

/// Bytes of the pages of the tables of memberships and of all their indexes, for each membership.
async fn bytes_each(path: &Path) -> Result<f64> {
    let mut connection = open(path).await?;
    let sizes = format!(
        "SELECT sum(d.pgsize) FROM dbstat d JOIN sqlite_master s ON s.name = d.name
         WHERE d.aggregate = TRUE AND s.tbl_name IN ({TABLES})"
    );
    let bytes: i64 =
        sqlx::query(AssertSqlSafe(sizes)).fetch_one(&mut connection).await.context("SQLite has no dbstat")?.get(0);
    let rows: i64 = sqlx::query("SELECT count(*) FROM memberships").fetch_one(&mut connection).await?.get(0);
    connection.close().await?;
    ensure!(rows > 0, "there are no memberships");
    Ok(float(u64::try_from(bytes)?) / float(u64::try_from(rows)?))
}

/// Bytes for each membership in the product's file and in the schema of this module with the same rows, made at `to`.
///
/// # Errors
/// The driver's.
pub async fn compare(product: &Path, to: &Path) -> Result<(f64, f64)> {
    if to.exists() {
        std::fs::remove_file(to)?;
    }
    std::fs::File::create(to)?;
    let mut connection = open(to).await?;
    sqlx::raw_sql(SCHEMA).execute(&mut connection).await?;
    let attach = format!("ATTACH '{}' AS product", product.display());
    sqlx::raw_sql(AssertSqlSafe(attach)).execute(&mut connection).await?;
    for (table, rows) in COPIES {
        let sql = format!("INSERT INTO main.{table} {rows}");
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.with_context(|| table.to_owned())?;
    }
    connection.close().await?;
    let sizes = (bytes_each(product).await?, bytes_each(to).await?);
    std::fs::remove_file(to)?;
    Ok(sizes)
}
