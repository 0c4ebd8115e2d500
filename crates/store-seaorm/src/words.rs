//! Lists that every check reads stand in one column as words with a blank between two, ids as 32 hexadecimal digits: read
//! without a parser, and changed by a statement for many rows at once.

use std::fmt::Display;

use domicile_domain::model::id::Id;
use domicile_domain::model::permission::PermissionName;
use domicile_domain::port::store::StoreError;
use sea_orm::ColumnTrait;
use sea_orm::sea_query::{Expr, SimpleExpr};
use uuid::Uuid;

use crate::convert::{At, uuid};

fn joined<T: Display>(words: impl Iterator<Item = T>) -> String {
    let mut text = String::new();
    for word in words {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(&word.to_string());
    }
    text
}

/// The list of some ids.
pub(crate) fn of_ids<'a, K: 'a>(ids: impl IntoIterator<Item = &'a Id<K>>) -> String {
    joined(ids.into_iter().map(|id| uuid(*id).simple()))
}

/// The list of some permissions; no name has a blank.
pub(crate) fn of_permissions<'a>(names: impl IntoIterator<Item = &'a PermissionName>) -> String {
    joined(names.into_iter())
}

/// The words of a list.
pub(crate) fn words(list: &str) -> impl Iterator<Item = &str> {
    list.split_ascii_whitespace()
}

/// The ids of a list.
pub(crate) fn ids<K, C: FromIterator<Id<K>>>(at: &At, column: &'static str, list: &str) -> Result<C, StoreError> {
    words(list).map(|word| at.read(column, Uuid::parse_str(word)).map(Id::from_uuid)).collect()
}

/// The permissions of a list.
pub(crate) fn permissions<C: FromIterator<PermissionName>>(
    at: &At,
    column: &'static str,
    list: &str,
) -> Result<C, StoreError> {
    words(list).map(|word| at.read(column, PermissionName::parse(word))).collect()
}

/// The list of a column with one more id, which it does not have yet.
pub(crate) fn with<K>(column: impl ColumnTrait, id: Id<K>) -> SimpleExpr {
    Expr::cust(format!("trim({} || ' {}')", column.as_str(), uuid(id).simple()))
}

/// The list of a column without an id.
pub(crate) fn without<K>(column: impl ColumnTrait, id: Id<K>) -> SimpleExpr {
    Expr::cust(format!("trim(replace(' ' || {} || ' ', ' {} ', ' '))", column.as_str(), uuid(id).simple()))
}
