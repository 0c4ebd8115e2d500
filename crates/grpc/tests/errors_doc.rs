//! `docs/ERRORS.md` says what the code says.

use std::path::Path;

#[test]
fn the_page_of_errors_is_what_the_code_makes_it() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/ERRORS.md");
    let page = domicile_grpc::status::errors_page();
    if std::env::var_os("DOMICILE_WRITE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(written, page, "run again with DOMICILE_WRITE_DOCS=1 to write docs/ERRORS.md anew");
}
