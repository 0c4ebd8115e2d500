//! What the product is compared with: hand-written SQL over the same tables, with the same rows, indexes and durability.

pub mod pgbench;
pub mod save;
pub mod small_schema;
