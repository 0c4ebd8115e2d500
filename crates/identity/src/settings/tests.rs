use domicile_domain::model::actor::{MethodSet, ServiceScope};

use super::*;

const WHOLE: &str = r#"
    [[services]]
    name = "orders"
    certificates = ["spiffe://acme.internal/orders", "dns:orders.internal"]
    tokens = [{ issuer = "https://login.acme.example", client_id = "orders" }]
    methods = ["UserService/LookupUser", "domicile.v1.MembershipService/AssignUser", "grpc.health.v1.Health/Check"]
    scopes = [{ scope = "permissions.register:orders.", workspaces = ["*"] }]
    act_as = { workspaces = ["acme", "0190a1b2-0000-7000-8000-000000000001"], methods = ["UserService/LookupUser"] }

    [[services]]
    name = "console"
    operator = true
    certificates = ["dns:console.internal"]
    methods = ["*"]

    [[issuers]]
    url = "https://login.acme.example"
    audience = "https://domicile.acme.example"
    jwks_url = "https://login.acme.example/keys"
"#;

fn methods() -> BTreeSet<String> {
    let all = [
        "domicile.v1.UserService/LookupUser",
        "domicile.v1.MembershipService/AssignUser",
        "grpc.health.v1.Health/Check",
    ];
    all.into_iter().map(ToOwned::to_owned).collect()
}

fn check(text: &str) -> Result<IdentityConfig, Violations> {
    toml::from_str::<IdentitySettings>(text).unwrap().check(&methods())
}

#[test]
fn a_whole_file_is_read_for_what_it_says() {
    let config = check(WHOLE).unwrap();
    assert!(!config.is_empty());
    let issuer = &config.issuers[0];
    let named =
        |name: &str| config.services.client("https://login.acme.example", name).map(|client| client.service.clone());
    let orders = named("orders").unwrap();
    assert_eq!(named("console"), None);
    let only = |list: &[&str]| MethodSet::Only(list.iter().map(|name| (*name).to_owned()).collect());
    let lookup = "domicile.v1.UserService/LookupUser";
    let assign = "domicile.v1.MembershipService/AssignUser";
    assert_eq!(orders.methods, only(&[lookup, assign, "grpc.health.v1.Health/Check"]));
    assert_eq!(orders.act_as.as_ref().map(|grant| &grant.methods), Some(&only(&[lookup])));
    assert_eq!(orders.scopes, [(ServiceScope::PermissionsRegister("orders.".to_owned()), ScopeReach::Everywhere)]);
    assert!(issuer.trusted_for.is_none(), "nobody is trusted at first sight unless it is said");
    assert_eq!(issuer.types.iter().collect::<Vec<_>>(), [&TokenType::AccessToken]);
    assert_eq!(issuer.algorithms.len(), 3);
    assert_eq!((issuer.leeway.as_secs(), issuer.refresh.as_secs()), (60, 300));
    assert_eq!((issuer.max_age.as_secs(), issuer.max_stale.as_secs()), (86_400, 86_400));
    assert!(check("").unwrap().is_empty());
}

/// What is said when something in the whole file is replaced.
fn tells(cases: &[(&str, &str, &str)]) {
    for (from, to, told) in cases {
        assert!(WHOLE.contains(from), "{from}");
        let said = check(&WHOLE.replacen(from, to, 1)).unwrap_err().to_string();
        assert!(said.contains(told), "{told} is missing in:\n{said}");
    }
}

#[test]
fn each_violation_of_a_service_is_told_by_its_path_and_how_to_mend_it() {
    tells(&[
        ("name = \"orders\"", "name = \"\"", "services[0].name: `` is not a name"),
        ("name = \"orders\"", "", "services[0].name: `` is not a name"),
        ("name = \"console\"", "name = \"orders\"", "services[1].name: `orders` is services[0] already"),
        (
            "\"dns:orders.internal\"",
            "\"orders.internal\"",
            "services[0].certificates[1]: `orders.internal` is no name of a certificate; write",
        ),
        (
            "dns:console.internal",
            "dns:Orders.internal",
            "services[1].certificates[0]: `dns:Orders.internal` is a name of `orders` already",
        ),
        ("certificates = [\"dns:console.internal\"]", "", "services[1]: nothing tells who this is"),
        (
            "certificates = [\"dns:console.internal\"]",
            "tokens = [{ issuer = \"https://login.acme.example\", client_id = \"orders\" }]",
            "services[1].tokens[0].client_id: the issuer's tokens name `orders` so already",
        ),
        (
            "certificates = [\"dns:console.internal\"]",
            "tokens = [{ issuer = \"https://login.acme.example\", client_id = \"c\", subject = \"orders\" }]",
            "services[1].tokens[0].subject: the issuer's tokens name `orders` so already",
        ),
        ("client_id = \"orders\"", "client_id = \"a b\"", "services[0].tokens[0].client_id: `a b` is not a name"),
        (
            "client_id = \"orders\"",
            "client_id = \"orders\", subject = \"\"",
            "services[0].tokens[0].subject: `` is not a name",
        ),
        (
            "{ issuer = \"https://login.acme.example\", c",
            "{ issuer = \"https://login.acme.example/\", c",
            "services[0].tokens[0].issuer: `https://login.acme.example/` is the `url` of none",
        ),
        (
            "[\"UserService/LookupUser\",",
            "[\"UserService/LookUpUser\",",
            "services[0].methods[0]: `UserService/LookUpUser` is no method; did you mean `UserService/LookupUser`?",
        ),
        (
            "[\"UserService/LookupUser\",",
            "[\"*\",",
            "services[0].methods[0]: `*` is no method; write it like `UserService/LookupUser`",
        ),
        ("methods = [\"*\"]", "methods = []", "services[1].methods: nothing is listed; give methods"),
        ("methods = [\"*\"]", "", "services[1].methods: nothing is listed; give methods"),
        (
            "permissions.register:orders.",
            "access.chekc",
            "services[0].scopes[0].scope: `access.chekc` is not a scope; there are",
        ),
        ("workspaces = [\"*\"]", "workspaces = []", "services[0].scopes[0].workspaces: nothing is listed"),
        (
            "workspaces = [\"*\"]",
            "workspaces = [\"*\", \"acme\"]",
            "services[0].scopes[0].workspaces[0]: `*` is neither the id nor the handle",
        ),
        ("[\"acme\", ", "[\"Ac me\", ", "services[0].act_as.workspaces[0]: `Ac me` is neither the id nor the handle"),
        ("methods = [\"UserService/LookupUser\"] }", "methods = [] }", "services[0].act_as.methods: nothing is listed"),
        (
            "[\"UserService/LookupUser\", \"domicile",
            "[\"domicile",
            "services[0].act_as.methods: the service may not call `domicile.v1.UserService/LookupUser` at all",
        ),
        (
            "operator = true",
            "operator = true\nact_as = { workspaces = [\"*\"], methods = [\"*\"] }",
            "services[1].act_as: the operator never acts as a person",
        ),
    ]);
}

#[test]
fn each_violation_of_an_issuer_is_told_by_its_path_and_how_to_mend_it() {
    tells(&[
        ("url = \"https://login.acme.example\"", "url = \"\"", "issuers[0].url: `` is not an issuer"),
        (
            "url = \"https://login.acme.example\"",
            "url = \"http://login.acme.example\"",
            "issuers[0].url: `http://login.acme.example` is not an issuer",
        ),
        ("audience = \"https://domicile.acme.example\"", "", "issuers[0].audience: `` is not a name"),
        ("jwks_url = \"https://login.acme.example/keys\"", "", "issuers[0].jwks_url: nothing tells where its keys are"),
        ("jwks_url =", "jwks_file = \"keys.json\"\njwks_url =", "issuers[0].jwks_file: the keys have two places"),
        (
            "https://login.acme.example/keys",
            "http://login.acme.example/keys",
            "issuers[0].jwks_url: `http://login.acme.example/keys` is not encrypted",
        ),
        (
            "https://login.acme.example/keys",
            "ftp://login.acme.example/keys",
            "issuers[0].jwks_url: `ftp://login.acme.example/keys` is not encrypted",
        ),
        (
            "https://login.acme.example/keys",
            "https://a:b@login.acme.example/keys",
            "issuers[0].jwks_url: `/keys` has no host, or a password",
        ),
        ("https://login.acme.example/keys", "/keys", "issuers[0].jwks_url: `/keys` has no host"),
        ("https://login.acme.example/keys", "https://a b", "issuers[0].jwks_url: `https://a b` is not an address"),
        (
            "jwks_url =",
            "root_certificate = \"nowhere.pem\"\njwks_url =",
            "issuers[0].root_certificate: `nowhere.pem` cannot be read",
        ),
        (
            "jwks_url = \"https://login.acme.example/keys\"",
            "jwks_file = \"keys.json\"\nroot_certificate = \"r.pem\"",
            "issuers[0].root_certificate: has no use with `jwks_file`",
        ),
        ("jwks_url =", "trusted_homes = [\"*\", \"acme\"]\njwks_url =", "issuers[0].trusted_homes[0]: `*` is neither"),
        (
            "jwks_url =",
            "token_types = [\"id+jwt\"]\njwks_url =",
            "issuers[0].token_types[0]: `id+jwt` is not a type of token; there are at+jwt and JWT",
        ),
        (
            "jwks_url =",
            "token_types = []\njwks_url =",
            "issuers[0].token_types: nothing is listed; give at+jwt, JWT or both",
        ),
        (
            "jwks_url =",
            "algorithms = [\"HS256\"]\njwks_url =",
            "issuers[0].algorithms[0]: `HS256` is not accepted; there are ES256, EdDSA and RS256",
        ),
        ("jwks_url =", "algorithms = [\"none\"]\njwks_url =", "issuers[0].algorithms[0]: `none` is not accepted"),
        (
            "jwks_url =",
            "leeway_seconds = 301\njwks_url =",
            "issuers[0].leeway_seconds: 301 is too little or too much; give 0 to 300",
        ),
        ("jwks_url =", "max_age_hours = 0\njwks_url =", "issuers[0].max_age_hours: 0 is too little"),
        ("jwks_url =", "refresh_seconds = 5\njwks_url =", "issuers[0].refresh_seconds: 5 is too little"),
        (
            "jwks_url =",
            "max_stale_hours = 1000\njwks_url =",
            "issuers[0].max_stale_hours: 1000 is too little or too much",
        ),
    ]);
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let text =
        "[[services]]\nscopes = [{}]\ntokens = [{}]\n[[issuers]]\n[[issuers]]\nleeway_seconds = 999\njwks_file = \"k\"";
    let said = check(text).unwrap_err();
    let paths: Vec<&str> = said.0.iter().map(|violation| violation.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "issuers[0].url",
            "issuers[0].audience",
            "issuers[0].jwks_url",
            "issuers[1].url",
            "issuers[1].audience",
            "issuers[1].leeway_seconds",
            "services[0].name",
            "services[0].methods",
            "services[0].scopes[0].workspaces",
            "services[0].scopes[0].scope",
            "services[0].tokens[0].client_id",
        ]
    );
}

#[test]
fn an_unknown_key_is_an_error() {
    for text in [
        "service = []",
        "[[services]]\nnmae = \"x\"",
        "[[issuers]]\njwks = \"x\"",
        "[[services]]\nact_as = { method = [] }",
    ] {
        let said = toml::from_str::<IdentitySettings>(text).unwrap_err().to_string();
        assert!(said.contains("unknown field"), "{said}");
    }
}

#[test]
fn keys_in_the_clear_are_for_this_machine() {
    for url in ["http://127.0.0.1:9/keys", "http://localhost/keys", "http://[::1]:9/keys"] {
        assert!(check(&WHOLE.replace("https://login.acme.example/keys", url)).is_ok(), "{url}");
    }
    assert!(check(&WHOLE.replace("https://login.acme.example/keys", "http://localhost.example/keys")).is_err());
}
