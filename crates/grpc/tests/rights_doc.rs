//! `docs/RIGHTS.md` says what the contract says.

use std::path::Path;

#[test]
fn the_page_of_rights_is_what_the_contract_makes_it() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/RIGHTS.md");
    let page = domicile_grpc::rights_page::rights_page().unwrap();
    if std::env::var_os("DOMICILE_WRITE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(written, page, "run again with DOMICILE_WRITE_DOCS=1 to write docs/RIGHTS.md anew");
}
