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

/// Every setting, in the order in which a configuration file is written: what has no section first.
pub(crate) const SETTINGS: &[Row] = &[
    row(
        "listen",
        Some("127.0.0.1:50051"),
        "address and port to serve on; any but a loopback address needs tls.certificate and a sign-in by [[services]]",
    ),
    row(
        "tls.certificate",
        None,
        "PEM file with the certificate of this server and those that vouch for it; with tls.key",
    ),
    row("tls.key", None, "PEM file with its key; with tls.certificate"),
    row(
        "tls.client_ca",
        None,
        "PEM file with the certificates that vouch for clients; without it none is asked for one",
    ),
    row(
        "tls.require_client_certificate",
        Some("false"),
        "whether a client without a certificate is turned away before it can send a token",
    ),
    row(
        "admin.listen",
        Some("127.0.0.1:50052"),
        "address and port of livez, readyz and metrics, which anybody who reaches it may read; `off` for none",
    ),
    secret("database.url", "where everything is kept: sqlite:PATH or postgres://user:password@host:5432/name"),
    row("database.pool_size", Some("8"), "connections for writing, and as many for reading, on PostgreSQL"),
    secret(
        "auth.development_token",
        "token of the one calling service while there are no [[services]], at least 16 characters; it can act as anybody, \
         so it serves on loopback alone",
    ),
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
    row(
        "cache.bytes",
        Some("268435456"),
        "memory in which this process keeps what decides checks of access; 0 keeps none",
    ),
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
    row("limits.request_bytes", Some("1048576"), "the largest request"),
    row("limits.answer_bytes", Some("4194304"), "the largest answer"),
    row("limits.header_list_bytes", Some("16384"), "the largest list of headers"),
    row("limits.concurrent_streams", Some("256"), "streams at once on one connection"),
    row(
        "limits.calls_per_connection",
        Some("128"),
        "calls at work at once for one connection, and as many checks of access; more are refused",
    ),
    row(
        "limits.calls_per_process",
        Some("512"),
        "calls at work at once in the process, checks of access apart; more are refused",
    ),
    row("limits.checks_per_process", Some("256"), "checks of access at work at once in the process; more are refused"),
    row(
        "limits.connections",
        Some("4096"),
        "connections that are open at once; more are closed at once. The process needs as many file descriptors",
    ),
    row("limits.handshakes", Some("256"), "handshakes of encryption at once; the slowest is given up for a new one"),
    row("limits.handshake_seconds", Some("10"), "how long a handshake may take"),
    row(
        "limits.reflection_seconds",
        Some("300"),
        "how long a client may read the contract by one stream of reflection",
    ),
    row("limits.keepalive_interval_seconds", Some("60"), "how often a silent connection is asked whether it lives"),
    row("limits.keepalive_timeout_seconds", Some("20"), "how long it may take to answer"),
    row(
        "limits.connection_age_seconds",
        Some("1800"),
        "age at which a connection is asked to begin anew, a tenth more or less by chance, so that load spreads",
    ),
    row("limits.pending_accept_reset_streams", Some("20"), "streams that a client may reset before they were accepted"),
    row("limits.local_error_reset_streams", Some("1024"), "streams that may be reset for a client's errors"),
    row(
        "limits.lame_duck_seconds",
        Some("5"),
        "how long the service goes on once it was asked to stop, while readiness and health send callers elsewhere",
    ),
    row("limits.drain_seconds", Some("20"), "how long calls at work may take to end after that"),
    row(
        "otlp.endpoint",
        None,
        "collector of traces, by OTLP over gRPC: http://127.0.0.1:4317; none are sent unless given, and the program must be \
         built with the feature otlp",
    ),
    row(
        "otlp.root_certificate",
        None,
        "PEM file with the certificates that vouch for a collector at https; those of the public web unless given",
    ),
    row(
        "otlp.traces_percent",
        Some("100"),
        "of the traces that begin here, how many in a hundred are sent; whether those of callers are is theirs to say",
    ),
    row("log.level", Some("info"), "what is logged: error, warn, info, debug, or directives such as info,sqlx=warn"),
    row("log.format", Some("auto"), "text, json, or auto: text on a terminal and json elsewhere"),
];

/// A list of tables, which stands in the file alone.
#[derive(Debug)]
pub(crate) struct Section {
    /// Its name: `[[services]]`.
    pub(crate) name: &'static str,
    /// What an entry is.
    pub(crate) help: &'static str,
    /// The keys of an entry.
    pub(crate) keys: &'static [Key],
}

/// A key of an entry.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    /// What it is for and how it is written, one sentence.
    pub(crate) help: &'static str,
    /// A value as it stands in the file.
    pub(crate) example: &'static str,
    /// Whether the example of an entry has it.
    pub(crate) usual: bool,
}

const fn key(name: &'static str, help: &'static str, example: &'static str) -> Key {
    Key { name, help, example, usual: false }
}

const fn usual(name: &'static str, help: &'static str, example: &'static str) -> Key {
    Key { name, help, example, usual: true }
}

/// Every list.
pub(crate) const SECTIONS: [Section; 2] = [
    Section {
        name: "services",
        help: "a calling service: how it is known, and what it may do",
        keys: &[
            usual("name", "its name, unique", "\"console\""),
            key(
                "operator",
                "whether it acts for the operator of the installation; such a one never acts as a person",
                "false",
            ),
            usual(
                "certificates",
                "names of its client certificate: a SPIFFE id, or dns: and a DNS name",
                "[\"spiffe://acme.internal/console\"]",
            ),
            key(
                "tokens",
                "how tokens name it: the url of one of the [[issuers]], its client_id there, and the subject of its own \
                 tokens where that is another",
                "[{ issuer = \"https://login.acme.example\", client_id = \"console\" }]",
            ),
            usual(
                "methods",
                "what it may call at all: methods such as \"UserService/LookupUser\", or [\"*\"]",
                "[\"*\"]",
            ),
            key(
                "scopes",
                "its rights apart from any person's, and the workspaces in which they hold, or [\"*\"]",
                "[{ scope = \"access.check\", workspaces = [\"*\"] }]",
            ),
            key(
                "act_as",
                "where and by which methods it may name whom it acts for, without a proof of that person",
                "{ workspaces = [\"*\"], methods = [\"*\"] }",
            ),
        ],
    },
    Section {
        name: "issuers",
        help: "an issuer of tokens: where its keys are, and how far it is believed",
        keys: &[
            usual("url", "its name, exactly as the claim iss has it", "\"https://login.acme.example\""),
            usual("audience", "the audience that tokens for this service have", "\"domicile\""),
            usual("jwks_url", "where it publishes its keys", "\"https://login.acme.example/keys\""),
            key(
                "jwks_file",
                "a file with its keys, where there is no way to it; in place of jwks_url",
                "\"keys.json\"",
            ),
            key("root_certificate", "PEM file with another root certificate to trust at jwks_url", "\"root.pem\""),
            key(
                "trusted_homes",
                "homes, or [\"*\"], for which it tells who a person is that is seen first; none unless given",
                "[\"acme\"]",
            ),
            key(
                "token_types",
                "types of token: at+jwt, and JWT for issuers that do not follow RFC 9068",
                "[\"at+jwt\"]",
            ),
            key("algorithms", "ways of signing: ES256, EdDSA, RS256", "[\"ES256\", \"EdDSA\", \"RS256\"]"),
            key("leeway_seconds", "how far its clock may be from ours", "60"),
            key("max_age_hours", "how long after its issue a token is taken, however late it expires", "24"),
            key("refresh_seconds", "how often its keys are fetched where it does not say itself", "300"),
            key("max_stale_hours", "how long its last keys serve while it cannot be reached", "24"),
        ],
    },
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
