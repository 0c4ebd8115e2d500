use std::num::NonZeroU32;
use std::time::Duration;

use domicile_identity::settings::{IssuerSettings, ServiceSettings};
use domicile_notify::smtp::Security;

use super::*;

fn layers(file: &str, environment: &[(&str, &str)], flags: &[(&str, &str)]) -> Result<Layers> {
    let pairs = |list: &[(&str, &str)]| list.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Layers::of(
        &Sources { environment: pairs(environment), flags: pairs(flags), ..Sources::default() },
        Some(("domicile.toml".into(), file.to_owned())),
    )
}

fn refused<T>(read: Result<T>) -> String {
    format!("{:#}", read.err().unwrap())
}

const WHOLE: &str = "
    [database]
    url = \"postgres://ann:s3cret@db.example/domicile\"
    [auth]
    development_token = \"0123456789abcdef\"
    [sealing]
    keys = \"00000000000000000000000000000000000000000000000000000000000000ff\"
";

fn token(layers: &Layers) -> String {
    match layers.serve().unwrap().sign_in {
        SignIn::Development(token) => token.0,
        SignIn::Mapped(_) => panic!("it is a token"),
    }
}

const MAPPED: &str = "
    database.url = \"sqlite:d.db\"
    sealing.keys = \"00000000000000000000000000000000000000000000000000000000000000ff\"
    [[services]]
    name = \"operator\"
    operator = true
    tokens = [{ issuer = \"https://login.acme.example\", client_id = \"operator\" }]
    methods = [\"*\"]
    [[issuers]]
    url = \"https://login.acme.example\"
    audience = \"domicile\"
    jwks_url = \"https://login.acme.example/keys\"
";

#[test]
fn callers_are_named_in_the_file() {
    let sign_in = |file: &str| layers(file, &[], &[]).unwrap().serve().map(|read| read.sign_in);
    assert!(matches!(sign_in(MAPPED).unwrap(), SignIn::Mapped(_)));
    for (from, to, part) in [
        (
            "methods = [\"*\"]",
            "methods = [\"UserService/LookUser\"]",
            "services[0].methods[0] (domicile.toml): `UserService/LookUser` is no method; did you mean `UserService/LookupUser`?",
        ),
        ("methods =", "method =", "services[0] (domicile.toml): `method` is not known here; did you mean `methods`?"),
        ("client_id =", "clientid =", "`clientid` is not known here; did you mean `client_id`?"),
        ("audience = \"domicile\"", "", "issuers[0].audience (domicile.toml): "),
        (
            "tokens =",
            "certificates = [\"dns:x\"]\ntokens =",
            "services[0].certificates: no client is asked for one; set tls.client_ca",
        ),
    ] {
        let told = refused(sign_in(&MAPPED.replace(from, to)));
        assert!(told.contains(part), "{part} is missing in:\n{told}");
    }
    let issuers_alone =
        MAPPED.split("[[services]]").next().unwrap().to_owned() + MAPPED.split("methods = [\"*\"]").last().unwrap();
    assert!(refused(sign_in(&issuers_alone)).contains("nothing tells who is calling"));
    let both = layers(MAPPED, &[("DOMICILE_AUTH_DEVELOPMENT_TOKEN", "0123456789abcdef")], &[]);
    let told = refused(both.unwrap().serve());
    assert!(told.contains("auth.development_token (DOMICILE_AUTH_DEVELOPMENT_TOKEN) can act as anybody"), "{told}");
}

/// The table tells of every key that is read, of no other, and its examples work.
#[test]
fn the_lists_have_the_keys_of_the_table() {
    for section in &SECTIONS {
        let unknown = format!("[[{}]]\nno_such_key = 1", section.name);
        let layers = layers(&unknown, &[], &[]).unwrap();
        let entry = layers.list(section.name).unwrap().entries[0].clone();
        let told = match section.name {
            "services" => serde::Deserialize::deserialize(entry).map(|_: ServiceSettings| ()),
            _ => serde::Deserialize::deserialize(entry).map(|_: IssuerSettings| ()),
        };
        let told = told.unwrap_err().to_string();
        let mut read: Vec<&str> = told.split('`').skip(3).step_by(2).collect();
        let mut listed: Vec<&str> = section.keys.iter().map(|key| key.name).collect();
        read.sort_unstable();
        listed.sort_unstable();
        assert_eq!(listed, read, "{}", section.name);
    }
    let example = |section: &settings::Section, without: &[&str]| {
        let keys = section.keys.iter().filter(|key| !without.contains(&key.name));
        keys.fold(format!("[[{}]]\n", section.name), |text, key| text + key.name + " = " + key.example + "\n")
    };
    let settings = "database.url = \"sqlite:d.db\"\nsealing.keys = \"00000000000000000000000000000000000000000000000000000000000000ff\"\n";
    let [services, issuers] = &SECTIONS;
    let file = settings.to_owned()
        + &example(services, &["certificates"])
        + &example(issuers, &["jwks_file", "root_certificate"]);
    layers(&file, &[], &[]).unwrap().serve().unwrap();
}

#[test]
fn traces_are_sent_by_a_program_that_can() {
    let read = |file: &str, can_send| {
        let layers = layers(file, &[], &[]).unwrap();
        let mut reader = Reader { layers: &layers, wrong: Vec::new() };
        let traces = reader.traces(can_send);
        reader.done(Some(traces))
    };
    let given = "otlp.endpoint = \"http://127.0.0.1:4317\"\notlp.traces_percent = 5";
    let traces = read(given, true).unwrap().unwrap();
    assert_eq!((traces.endpoint.as_str(), traces.percent), ("http://127.0.0.1:4317", 5));
    assert_eq!(read("", true).unwrap(), None);
    assert_eq!(read("", false).unwrap(), None);
    assert!(refused(read(given, false)).contains("--features otlp"));
    for wrong in ["127.0.0.1:4317", "grpc://c:4317", "http://"] {
        let told = refused(read(&format!("otlp.endpoint = \"{wrong}\""), true));
        assert!(told.contains("give http://HOST:PORT"), "{told}");
    }
    assert!(refused(read("otlp.traces_percent = 101", true)).contains("from 0 to 100"));
}

#[test]
fn the_defaults_of_the_table_are_those_of_the_server() {
    let read = layers(WHOLE, &[], &[]).unwrap().serve().unwrap().limits;
    assert_eq!(format!("{read:?}"), format!("{:?}", Limits::default()));
}

#[test]
fn a_list_is_read_from_the_file_alone_and_an_entry_is_told_by_its_name() {
    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Entry {
        name: String,
        #[serde(default)]
        scopes: Vec<String>,
    }
    let read = |file: &str| {
        let layers = layers(file, &[], &[])?;
        let mut reader = Reader { layers: &layers, wrong: Vec::new() };
        let entries: Vec<Entry> = reader.entries("services");
        reader.done(Some(entries))
    };
    let two = "[[services]]\nname = \"a\"\nscopes = [\"x\"]\n[[services]]\nname = \"b\"";
    let entries = read(two).unwrap();
    assert_eq!((entries.len(), entries[0].scopes.len(), entries[1].name.as_str()), (2, 1, "b"));
    let told = refused(read("[[services]]\nname = \"a\"\nscoped = []\n[[services]]\nscopes = []"));
    for part in [
        "services[0] (domicile.toml): `scoped` is not known here; did you mean `scopes`?",
        "services[1] (domicile.toml): missing field `name`",
    ] {
        assert!(told.contains(part), "{told}");
    }
    let told = refused(read("[services]\nname = \"a\""));
    assert!(told.contains("`services` is a list of tables; begin each with [[services]]"), "{told}");
    for (environment, flags) in [(&[("DOMICILE_SERVICES", "x")][..], &[][..]), (&[], &[("services", "x")])] {
        assert!(refused(layers("", environment, flags)).contains("` is no setting"));
    }
}

#[test]
fn what_can_be_reached_from_elsewhere_is_encrypted_and_not_by_the_development_token() {
    let told = refused(layers(WHOLE, &[], &[("listen", "0.0.0.0:1")]).unwrap().serve());
    for part in ["serves on loopback only, and 0.0.0.0:1 is not", "nothing is encrypted; set tls.certificate"] {
        assert!(told.contains(part), "{told}");
    }
}

#[test]
fn the_files_of_encryption_stand_together_and_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file.pem");
    std::fs::write(&path, "-").unwrap();
    let path = path.to_str().unwrap();
    let read = |flags: &[(&str, &str)]| layers(WHOLE, &[], flags).unwrap().serve();
    let whole = [("tls.certificate", path), ("tls.key", path), ("tls.client_ca", path)];
    let tls = read(&whole).unwrap().tls.unwrap();
    assert!(tls.client_ca.is_some() && !tls.require_client_certificate);
    assert!(read(&[&whole[..], &[("tls.require_client_certificate", "true")]].concat()).unwrap().tls.is_some());
    for (flags, part) in [
        (&whole[..1], "tls.certificate has no use without tls.key"),
        (&whole[1..2], "tls.key has no use without tls.certificate"),
        (&whole[2..], "tls.client_ca has no use without tls.certificate"),
        (&[("tls.require_client_certificate", "true")], "has no use without tls.client_ca"),
        (&[("tls.key", "gone.pem"), ("tls.certificate", path)], "tls.key (flag): `gone.pem`: No such file"),
    ] {
        assert!(refused(read(flags)).contains(part), "{part}");
    }
}

#[test]
fn the_admin_listener_can_be_off() {
    let admin = |value: &str| layers(WHOLE, &[], &[("admin.listen", value)]).unwrap().serve().map(|read| read.admin);
    assert_eq!(admin("off").unwrap(), AdminListen::Off);
    assert_eq!(admin("127.0.0.1:7").unwrap(), AdminListen::At("127.0.0.1:7".parse().unwrap()));
    assert!(refused(admin("on")).contains("admin.listen (flag): `on`:"));
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_file() {
    let config = layers(WHOLE, &[], &[]).unwrap().serve().unwrap();
    assert_eq!(config.listen, "127.0.0.1:50051".parse().unwrap());
    assert_eq!(config.database.database.to_string(), "db.example:5432/domicile");
    assert!(config.mail.is_none());
    let environment = [("DOMICILE_LISTEN", "127.0.0.1:1"), ("DOMICILE_DATABASE_POOL_SIZE", "7")];
    let config = layers(WHOLE, &environment, &[]).unwrap().serve().unwrap();
    assert_eq!((config.listen.port(), config.database.pool_size), (1, 7));
    let config = layers(WHOLE, &environment, &[("listen", "127.0.0.1:2")]).unwrap().serve().unwrap();
    assert_eq!(config.listen.port(), 2);
    assert!(!format!("{config:?}").contains("s3cret") && !format!("{config:?}").contains("0123456789abcdef"));
}

#[test]
fn everything_that_is_missing_or_wrong_is_told_at_once_with_its_origin() {
    let told = layers("listen = \"here\"\n[smtp]\nport = 25", &[("DOMICILE_DATABASE_POOL_SIZE", "many")], &[])
        .unwrap()
        .serve()
        .unwrap_err()
        .to_string();
    for part in [
        "listen (domicile.toml): `here`:",
        "database.url is not set",
        "database.pool_size (DOMICILE_DATABASE_POOL_SIZE): `many`: give a whole number from 1 to 500",
        "nothing tells who is calling: name the callers by [[services]]",
        "sealing.keys is not set",
        "smtp.port (domicile.toml) has no use while smtp.host is not set",
    ] {
        assert!(told.contains(part), "{part} is missing in:\n{told}");
    }
}

#[test]
fn budgets_are_the_shipped_ones_unless_set_and_never_nothing() {
    let read = |environment: &[(&str, &str)]| layers(WHOLE, environment, &[]).unwrap().serve();
    assert_eq!(read(&[]).unwrap().budgets, Budgets::default());
    let raised = read(&[("DOMICILE_BUDGETS_PROBES_PER_SERVICE_HOUR", "50000")]).unwrap().budgets;
    let service = NonZeroU32::new(50_000).unwrap();
    assert_eq!(raised, Budgets { probes_per_service_hour: service, ..Budgets::default() });
    for variable in ["USER_MINUTE", "WORKSPACE_HOUR", "SERVICE_HOUR"] {
        for wrong in ["0", "-1", "many", "4294967296"] {
            let told = refused(read(&[(&format!("DOMICILE_BUDGETS_PROBES_PER_{variable}"), wrong)]));
            assert!(told.contains("give a whole number from 1 to 4294967295"), "{told}");
        }
    }
}

#[test]
fn an_unknown_key_is_an_error_that_names_the_nearest() {
    for (file, environment, flags, part) in [
        (
            "[database]\nulr = \"x\"",
            &[][..],
            &[][..],
            "domicile.toml: `database.ulr` is no setting; did you mean `database.url`?",
        ),
        (
            "",
            &[("DOMICILE_DATABASE_ULR", "x")][..],
            &[][..],
            "`DOMICILE_DATABASE_ULR` is no setting; did you mean `DOMICILE_DATABASE_URL`?",
        ),
        ("", &[][..], &[("smpt.host", "x")][..], "--set: `smpt.host` is no setting; did you mean `smtp.host`?"),
        ("[database]\nurl = [1]", &[][..], &[][..], "`database.url` is a list or table; give one value"),
        ("[database", &[][..], &[][..], "domicile.toml cannot be read"),
    ] {
        let told = refused(layers(file, environment, flags));
        assert!(told.contains(part), "{told}");
    }
}

#[test]
fn a_secret_can_stand_in_a_file_of_its_own_but_not_twice() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, "fedcba9876543210\n").unwrap();
    let file = WHOLE.replace("development_token = \"0123456789abcdef\"", &format!("development_token_file = {path:?}"));
    let read = layers(&file, &[], &[]).unwrap();
    assert_eq!(token(&read), "fedcba9876543210");
    let named = path.display().to_string();
    let read = layers(WHOLE, &[("DOMICILE_AUTH_DEVELOPMENT_TOKEN_FILE", &named)], &[]).unwrap();
    assert_eq!(token(&read), "fedcba9876543210");
    let twice = [("DOMICILE_AUTH_DEVELOPMENT_TOKEN_FILE", named.as_str()), ("DOMICILE_AUTH_DEVELOPMENT_TOKEN", "x")];
    let told = refused(layers(WHOLE, &twice, &[]));
    assert!(told.contains("auth.development_token is given as a value and as a file; give one"), "{told}");
    let gone = refused(layers(WHOLE, &[("DOMICILE_SEALING_KEYS_FILE", "/nowhere/keys")], &[]));
    assert!(gone.contains("/nowhere/keys") && gone.contains("cannot be read"), "{gone}");
    let not_secret = refused(layers(WHOLE, &[("DOMICILE_LISTEN_FILE", &named)], &[]));
    assert!(not_secret.contains("`DOMICILE_LISTEN_FILE` is no setting"), "{not_secret}");
}

#[test]
fn a_mail_section_is_read_whole() {
    let mail = format!(
        "{WHOLE}\n[smtp]\nhost = \"mail.example\"\nsender = \"no-reply@acme.example\"\nusername = \"u\"\npassword = \"s3cret\""
    );
    let config = layers(&mail, &[], &[]).unwrap().serve().unwrap().mail.unwrap();
    assert_eq!((config.host.as_str(), config.port, config.security), ("mail.example", 587, Security::StartTls));
    assert_eq!(config.deadline, Duration::from_secs(30));
    assert!(!format!("{config:?}").contains("s3cret"));
    let told = refused(layers(&mail, &[("DOMICILE_SMTP_ALLOW_PLAINTEXT", "perhaps")], &[]).unwrap().serve());
    assert!(told.contains("smtp.allow_plaintext (DOMICILE_SMTP_ALLOW_PLAINTEXT): `perhaps`:"), "{told}");
}
