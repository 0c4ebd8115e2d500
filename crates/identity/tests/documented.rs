//! The example for operators is one that works.

use domicile_identity::IdentitySettings;

use crate::support::LOOKUP;

#[test]
fn the_example_for_operators_can_work() {
    let page = include_str!("../../../docs/OPERATIONS.md");
    let (_, section) = page.split_once("## Who may call").unwrap();
    let example = section.split("```").nth(1).and_then(|block| block.strip_prefix("toml")).unwrap();
    let settings: IdentitySettings = toml::from_str(example).unwrap();
    let methods = [LOOKUP, "domicile.v1.AccessService/CheckAccess"].map(ToOwned::to_owned);
    let checked = settings.check(&methods.into());
    assert!(checked.is_ok_and(|config| !config.is_empty()));
}
