//! Databases of the PostgreSQL server that `make test` starts.

use domicile_store_seaorm::SeaOrmStore;

/// The URL of a new, empty database of the server.
pub async fn fresh_url(server: &str) -> String {
    let made = SeaOrmStore::create_database(server).await.expect("a new database").to_string();
    let (place, name) = (server.rsplit_once('/'), made.rsplit_once('/'));
    let (Some((place, _)), Some((_, name))) = (place, name) else { panic!("{server} names no database") };
    format!("{place}/{name}")
}
