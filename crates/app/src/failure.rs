//! Errors of the command line: one sentence, the stable reason, what to do, and an exit code that scripts can rely on.

use std::io;

use domicile_client::ClientError;
use domicile_store_seaorm::OpenError;
use tonic::Code;

/// A command that did not do what was asked.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: u8,
    pub(crate) message: String,
    /// Standard output was closed by whoever read it.
    pub(crate) reader_left: bool,
}

/// The exit codes: 0 done, 1 unexpected, 2 usage, 3 not found, 4 conflict, 5 not allowed, 6 invalid input, 7 unavailable.
const fn exit_of(code: Code) -> u8 {
    match code {
        Code::NotFound => 3,
        Code::AlreadyExists | Code::FailedPrecondition | Code::Aborted => 4,
        Code::PermissionDenied | Code::Unauthenticated => 5,
        Code::InvalidArgument => 6,
        Code::Unavailable | Code::DeadlineExceeded | Code::ResourceExhausted => 7,
        _ => 1,
    }
}

/// The flag that mends a field of the contract.
fn flag_of(field: &str) -> String {
    let of_manager = field.strip_prefix("manager.");
    match of_manager.unwrap_or(field) {
        "email" if of_manager.is_some() => "--manager".to_owned(),
        "email" => "the email address".to_owned(),
        "handle" => "the handle".to_owned(),
        "other" => "the other workspace".to_owned(),
        "match_handle" => "--home-of".to_owned(),
        "request_id" => "--request-id".to_owned(),
        "user" => "the person".to_owned(),
        thing @ ("role" | "group" | "permission" | "identity") => format!("the {thing}"),
        etag_or_prefix @ ("etag" | "prefix") => format!("--{etag_or_prefix}"),
        "update_mask" => "the terms to change".to_owned(),
        "display_name" => "--name".to_owned(),
        "default_region" => "--region".to_owned(),
        "phone" => "--phone".to_owned(),
        "identity.issuer" => "--issuer".to_owned(),
        "identity.subject" => "--subject".to_owned(),
        "default_language" | "profile.preferred_language" => "--language".to_owned(),
        profile @ ("profile.first_name" | "profile.last_name" | "profile.username") => {
            format!("--{}", profile.trim_start_matches("profile.").replace('_', "-"))
        }
        _ if is_list(field, "roles") => "--role".to_owned(),
        _ if is_list(field, "permissions") => "--permission".to_owned(),
        other => other.to_owned(),
    }
}

/// Whether it is such a list, or one of its entries: `roles`, `roles[0]`, `internal.roles[0]`.
fn is_list(field: &str, name: &str) -> bool {
    let (list, entry) = field.split_once('[').unwrap_or((field, "]"));
    entry.ends_with(']') && (list == name || list.ends_with(&format!(".{name}")))
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let mut message = error.message.clone();
        if !error.reason.is_empty() {
            message = format!("{message} ({})", error.reason);
        }
        for (field, wrong) in &error.violations {
            message = format!("{message}\n  {}: {wrong}", flag_of(field));
        }
        if let (Code::NotFound, Some(field)) = (error.code, error.metadata.get("field")) {
            message = format!("{message}\n  {}: there is none of that name here", flag_of(field));
        }
        if let Some(etag) = error.metadata.get("current_etag") {
            message = format!("{message}\n  --etag: it is {etag} now");
        }
        Self::new(exit_of(error.code), message)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        let closed = |cause: &(dyn std::error::Error + 'static)| {
            cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
        };
        Self { reader_left: error.chain().any(closed), ..Self::new(1, format!("{error:#}")) }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        anyhow::Error::from(error).into()
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        let exit = match &error {
            OpenError::NoDatabase { .. } => 3,
            OpenError::Behind { .. } | OpenError::Newer { .. } | OpenError::Normaliser { .. } => 4,
            OpenError::SignIn { .. } | OpenError::NotAllowed { .. } => 5,
            OpenError::Url { .. } => 6,
            OpenError::Unreachable { .. } => 7,
            OpenError::Open { .. } | OpenError::Migrate { .. } => 1,
        };
        Self::new(exit, error.to_string())
    }
}

impl Failure {
    pub(crate) const fn new(exit: u8, message: String) -> Self {
        Self { exit, message, reader_left: false }
    }

    /// The same with a line that says what to type.
    pub(crate) fn then(self, line: &str) -> Self {
        Self { message: format!("{}\n{line}", self.message), ..self }
    }

    /// What the caller gave cannot be used.
    pub(crate) fn invalid(error: &anyhow::Error) -> Self {
        Self::new(6, format!("{error:#}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn every_refusal_has_its_exit_code_and_names_the_flag() {
        for (code, exit) in [
            (Code::NotFound, 3),
            (Code::AlreadyExists, 4),
            (Code::FailedPrecondition, 4),
            (Code::PermissionDenied, 5),
            (Code::InvalidArgument, 6),
            (Code::Unavailable, 7),
            (Code::Internal, 1),
        ] {
            let failure = Failure::from(ClientError {
                code,
                reason: "REASON".into(),
                message: "It went wrong.".into(),
                violations: vec![("profile.first_name".into(), "a name is needed".into())],
                metadata: BTreeMap::new(),
                retry_after: None,
                request_id: String::new(),
            });
            assert_eq!(failure.exit, exit);
            assert_eq!(failure.message, "It went wrong. (REASON)\n  --first-name: a name is needed");
        }
    }

    #[test]
    fn a_field_is_called_as_it_is_typed() {
        for (field, flag) in [
            ("permissions", "--permission"),
            ("roles[3]", "--role"),
            ("internal.roles[0]", "--role"),
            ("permissions[0].name", "permissions[0].name"),
            ("etag", "--etag"),
            ("role", "the role"),
            ("manager.email", "--manager"),
        ] {
            assert_eq!(flag_of(field), flag);
        }
    }

    #[test]
    fn what_changed_since_is_told_with_its_etag_and_what_is_missing_by_name() {
        let told = |code, fact: (&str, &str)| {
            Failure::from(ClientError {
                code,
                reason: String::new(),
                message: "No.".into(),
                violations: Vec::new(),
                metadata: BTreeMap::from([(fact.0.to_owned(), fact.1.to_owned())]),
                retry_after: None,
                request_id: String::new(),
            })
            .message
        };
        assert_eq!(told(Code::Aborted, ("current_etag", "r-2")), "No.\n  --etag: it is r-2 now");
        assert_eq!(told(Code::NotFound, ("field", "group")), "No.\n  the group: there is none of that name here");
        assert_eq!(told(Code::AlreadyExists, ("field", "handle")), "No.");
    }
}
