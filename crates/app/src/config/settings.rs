//! The table of settings: the one list from which files, variables and flags are read, shown and explained.

/// A setting.
#[derive(Debug)]
pub(crate) struct Row {
    /// Its key in the file and with `--set`: `database.url`.
    pub(crate) key: &'static str,
    /// What holds when nobody says anything; absent if nothing does.
    pub(crate) default: Option<&'static str>,
    /// Whether it is never shown, and can be read from a file of its own.
    pub(crate) secret: bool,
    /// What it is for and how it is written, one sentence.
    pub(crate) help: &'static str,
}

const fn row(key: &'static str, default: Option<&'static str>, help: &'static str) -> Row {
    Row { key, default, secret: false, help }
}

const fn secret(key: &'static str, help: &'static str) -> Row {
    Row { key, default: None, secret: true, help }
}

/// Every setting.
pub(crate) const SETTINGS: [Row; 22] = [
    row("listen", Some("127.0.0.1:50051"), "address and port to serve on; loopback only until there is a sign-in"),
    secret("database.url", "where everything is kept: sqlite:PATH or postgres://user:password@host:5432/name"),
    row("database.pool_size", Some("8"), "connections for writing, and as many for reading, on PostgreSQL"),
    secret("auth.development_token", "token of the calling service, at least 16 characters; it can act as anybody"),
    secret(
        "sealing.keys",
        "keys that seal handles and tokens, 64 hexadecimal digits each, separated by commas; the first seals, all open; the same on every replica",
    ),
    row(
        "budgets.probes_per_user_minute",
        Some("20"),
        "searches and saves that tell whether a contact exists: how many one person may make in a minute",
    ),
    row("budgets.probes_per_workspace_hour", Some("300"), "how many of them one workspace may see in an hour"),
    row("budgets.probes_per_service_hour", Some("2000"), "how many of them one calling service may make in an hour"),
    row("messages.language", Some("en"), "language for people for whom nothing else has a text"),
    row("messages.folder", Some("./domicile-messages"), "where messages are kept while there is no mail server"),
    row("smtp.host", None, "mail server; without one messages are captured, not sent"),
    row("smtp.port", None, "its port; 587 with starttls, 465 with tls, 25 with none"),
    row(
        "smtp.allow_plaintext",
        Some("false"),
        "whether none may leave this machine: mail and password can be read on the way",
    ),
    row("smtp.security", Some("starttls"), "starttls, tls or none; none on loopback only"),
    row("smtp.username", None, "user at the mail server, with smtp.password"),
    secret("smtp.password", "password at the mail server, with smtp.username"),
    row("smtp.sender", None, "address from which mail comes, such as no-reply@acme.example"),
    row("smtp.hello_name", None, "name by which this host greets the mail server; its own name unless given"),
    row("smtp.root_certificate", None, "PEM file with another root certificate to trust"),
    row("smtp.timeout_seconds", Some("30"), "how long one attempt to send may take"),
    row("smtp.pool_size", Some("4"), "connections to the mail server"),
    row("log", Some("info"), "what is logged: error, warn, info, debug, or directives such as info,sqlx=warn"),
];

/// The row of a key.
pub(crate) fn of(key: &str) -> Option<&'static Row> {
    SETTINGS.iter().find(|row| row.key == key)
}

impl Row {
    /// The environment variable: `DOMICILE_DATABASE_URL`.
    pub(crate) fn variable(&self) -> String {
        format!("DOMICILE_{}", self.key.replace('.', "_").to_uppercase())
    }
}

/// The candidate that looks most like what was written, if one does.
pub(crate) fn nearest(written: &str, candidates: impl Iterator<Item = String>) -> Option<String> {
    let scored = candidates.map(|candidate| (strsim::jaro_winkler(written, &candidate), candidate));
    let best = scored.max_by(|(a, _), (b, _)| a.total_cmp(b));
    best.filter(|(likeness, _)| *likeness > 0.8).map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_settings_share_a_key_or_a_variable() {
        let mut variables: Vec<String> =
            SETTINGS.iter().flat_map(|row| [row.variable(), format!("{}_FILE", row.variable())]).collect();
        variables.sort();
        let all = variables.len();
        variables.dedup();
        assert_eq!(variables.len(), all);
    }
}
