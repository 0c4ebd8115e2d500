//! Refusals as gRPC statuses with rich details, in one place.

use std::collections::HashMap;
use std::time::Duration;

use domicile_domain::error::{ErrorKind, Reason, Refusal};
use http::{HeaderMap, Response};
use tonic::body::Body;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// The domain of every `ErrorInfo`.
pub const ERROR_DOMAIN: &str = "domicile";
/// All details together stay below this: some clients lose the status above about 6 KiB of headers.
const DETAILS_LIMIT: usize = 4 * 1024;
/// What a status takes besides its message, facts and fields.
const FRAME: usize = 512;
/// What facts for programs take at most.
const FACTS_LIMIT: usize = 1024;

/// Reasons of the transport and its gate; the domain never gives them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransportReason {
    /// The caller is not known.
    Unauthenticated,
    /// The time was over.
    DeadlineExceeded,
    /// There is no such method.
    Unimplemented,
    /// The answer is larger than is sent.
    AnswerTooLarge,
    /// The calling service may not call the method.
    MethodNotAllowed,
    /// The person must come with their own token.
    OwnTokenRequired,
    /// As much is at work as may be.
    Overloaded,
    /// The server stops.
    Stopping,
}

impl TransportReason {
    /// Every reason, for tables that must not forget one.
    pub const ALL: [Self; 8] = [
        Self::Unauthenticated,
        Self::DeadlineExceeded,
        Self::Unimplemented,
        Self::AnswerTooLarge,
        Self::MethodNotAllowed,
        Self::OwnTokenRequired,
        Self::Overloaded,
        Self::Stopping,
    ];

    /// The stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unauthenticated => "UNAUTHENTICATED",
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::Unimplemented => "UNIMPLEMENTED",
            Self::AnswerTooLarge => "ANSWER_TOO_LARGE",
            Self::MethodNotAllowed => "METHOD_NOT_ALLOWED",
            Self::OwnTokenRequired => "OWN_TOKEN_REQUIRED",
            Self::Overloaded => "OVERLOADED",
            Self::Stopping => "STOPPING",
        }
    }

    /// What it means and what to do.
    pub const fn explanation(self) -> &'static str {
        match self {
            Self::Unauthenticated => "The caller is not known. Send the token of a service that is configured here.",
            Self::DeadlineExceeded => {
                "The time for the call was over before it ended. The same again with the same request id is safe."
            }
            Self::Unimplemented => {
                "There is no such method here, or not in this form. Compare the versions of client and service."
            }
            Self::AnswerTooLarge => "The answer is larger than is sent. Ask for less at once, with a smaller page.",
            Self::MethodNotAllowed => {
                "The calling service may not call this method. Ask the operator to add it to the methods of the service."
            }
            Self::OwnTokenRequired => {
                "Only the person can say this: send the person's own token, not one exchanged for the service and not the \
                 name alone."
            }
            Self::Overloaded => {
                "As many calls are at work as this server takes. Nothing was done; the same again after the pause is safe."
            }
            Self::Stopping => "The server stops. The same again reaches another one, or this one after its restart.",
        }
    }

    const fn code(self) -> Code {
        match self {
            Self::Unauthenticated => Code::Unauthenticated,
            Self::DeadlineExceeded => Code::DeadlineExceeded,
            Self::Unimplemented => Code::Unimplemented,
            Self::AnswerTooLarge => Code::ResourceExhausted,
            Self::MethodNotAllowed | Self::OwnTokenRequired => Code::PermissionDenied,
            Self::Overloaded | Self::Stopping => Code::Unavailable,
        }
    }

    /// The pause before the same again, where that helps. As much as is at work at once ends within half a second unless the
    /// store is stuck.
    const fn pause(self) -> Option<Duration> {
        match self {
            Self::Overloaded => Some(Duration::from_millis(500)),
            Self::Stopping => Some(Duration::from_secs(1)),
            _ => None,
        }
    }
}

const fn code(kind: ErrorKind) -> Code {
    match kind {
        ErrorKind::Invalid => Code::InvalidArgument,
        ErrorKind::Denied => Code::PermissionDenied,
        ErrorKind::NotFound => Code::NotFound,
        ErrorKind::AlreadyExists => Code::AlreadyExists,
        ErrorKind::Precondition => Code::FailedPrecondition,
        ErrorKind::Aborted => Code::Aborted,
        ErrorKind::Unavailable => Code::Unavailable,
        ErrorKind::Exhausted => Code::ResourceExhausted,
        ErrorKind::Internal => Code::Internal,
    }
}

/// A status of the transport, in the reason's words unless there are better ones, with facts for programs.
pub(crate) fn of_transport(
    reason: TransportReason,
    said: Option<&str>,
    facts: &[(&str, &str)],
    correlation: &str,
) -> Status {
    let metadata: HashMap<_, _> = facts.iter().map(|(key, value)| ((*key).to_owned(), cut(value, 512))).collect();
    let mut details = ErrorDetails::new();
    details.set_error_info(reason.as_str(), ERROR_DOMAIN, metadata).set_request_info(correlation, "");
    if let Some(pause) = reason.pause() {
        details.set_retry_info(Some(pause));
    }
    Status::with_error_details(reason.code(), cut(said.unwrap_or(reason.explanation()), 512), details)
}

/// Gives reason and details to what the transport refused by itself: a request that is too large, cannot be read or comes
/// in a form that is not served.
pub(crate) fn explained_head(response: Response<Body>, correlation: &str) -> Response<Body> {
    let Some(status) = Status::from_header_map(response.headers()) else { return response };
    if response.headers().contains_key("grpc-status-details-bin") {
        return response;
    }
    match status.code() {
        Code::OutOfRange | Code::ResourceExhausted | Code::Internal | Code::InvalidArgument => {
            let message = format!("the request cannot be read: {}", status.message());
            let refusal = Refusal { message, ..Refusal::new(Reason::InvalidRequest) };
            of_refusal(&refusal, correlation).into_http()
        }
        Code::Unimplemented => {
            let said = (!status.message().is_empty()).then(|| status.message());
            of_transport(TransportReason::Unimplemented, said, &[], correlation).into_http()
        }
        _ => response,
    }
}

/// An answer turns out to be too large when its head has gone out. Nothing else is out of range.
pub(crate) fn explain_trailers(trailers: &mut HeaderMap, correlation: &str) {
    if Status::from_header_map(trailers).is_some_and(|status| status.code() == Code::OutOfRange) {
        let status = of_transport(TransportReason::AnswerTooLarge, None, &[], correlation);
        // Its words are ours, and they fit into a header.
        let _ = status.add_header(trailers);
    }
}

/// What the caller sees of a refusal. What only the operator may see is logged here, once.
pub(crate) fn of_refusal(refusal: &Refusal, correlation: &str) -> Status {
    let internal = refusal.kind() == ErrorKind::Internal;
    let reason = refusal.reason.as_str();
    match &refusal.cause {
        Some(cause) if internal => {
            tracing::error!(request.id = correlation, error = %cause, "a call failed by a defect of this service");
        }
        Some(cause) => {
            tracing::warn!(request.id = correlation, reason, error = %cause, "a call could not be served now");
        }
        None => {}
    }
    // Of a defect the caller learns one fixed sentence, whatever was written where it happened.
    let message = cut(if internal { refusal.reason.explanation().trim() } else { &refusal.message }, 512);
    let mut details = ErrorDetails::new();
    let (metadata, facts) = facts_of(refusal);
    details.set_error_info(reason, ERROR_DOMAIN, metadata).set_request_info(correlation, "");
    if let Some(pause) = pause_of(refusal) {
        details.set_retry_info(Some(pause));
    }
    if let Some(budget) = &refusal.budget {
        // Whose budget it is: not the id, which the caller may not know.
        details.add_quota_failure_violation(format!("budget:{}", budget.kind()), message.clone());
    }
    let field = refusal.violations.first().map(|violation| cut(&violation.field, 128)).unwrap_or_default();
    match refusal.kind() {
        ErrorKind::Precondition => drop(details.add_precondition_failure_violation(reason, &field, message.clone())),
        // Of what kind it is, in the word of the request. Its name is the caller's own.
        ErrorKind::NotFound | ErrorKind::AlreadyExists if !field.is_empty() => {
            let kind = field.rsplit('.').next().unwrap_or_default();
            details.set_resource_info(kind, "", "", message.clone());
        }
        _ => {}
    }
    let mut left = DETAILS_LIMIT.saturating_sub(FRAME + facts + 2 * message.len() + field.len());
    for (told, violation) in refusal.violations.iter().enumerate() {
        let (field, message) = (cut(&violation.field, 128), cut(&violation.message, 400));
        let size = field.len() + message.len() + 16;
        if size > left {
            let untold = refusal.violations.len() - told;
            details.add_bad_request_violation("", format!("{untold} more; mend these first"));
            break;
        }
        left -= size;
        details.add_bad_request_violation(field, message);
    }
    Status::with_error_details(code(refusal.kind()), message, details)
}

/// How long to wait before the same again, wherever that helps.
fn pause_of(refusal: &Refusal) -> Option<Duration> {
    let usual = match (refusal.kind(), refusal.reason) {
        (ErrorKind::Unavailable, Reason::Contention) => Some(Duration::from_millis(50)),
        (ErrorKind::Unavailable, _) => Some(Duration::from_secs(1)),
        _ => None,
    };
    refusal.retry_after.or(usual)
}

/// The facts that fit, and how much they take.
fn facts_of(refusal: &Refusal) -> (HashMap<String, String>, usize) {
    let mut metadata = HashMap::new();
    let mut size = 0;
    for (key, value) in &refusal.metadata {
        let value = cut(value, 512);
        let more = key.len() + value.len() + 16;
        if size + more > FACTS_LIMIT {
            break;
        }
        size += more;
        metadata.insert((*key).to_owned(), value);
    }
    (metadata, size)
}

/// The page `docs/ERRORS.md`: every reason with its code, whether to try again, and what to do.
pub fn errors_page() -> String {
    let again = |kind: ErrorKind| match kind {
        ErrorKind::Unavailable | ErrorKind::Exhausted => "after the pause in `RetryInfo`",
        ErrorKind::Aborted => "after reading again",
        _ => "no",
    };
    let again_there = |code: Code| match code {
        Code::Unavailable => "after the pause in `RetryInfo`",
        Code::DeadlineExceeded => "with the same request id",
        _ => "no",
    };
    let ours = Reason::ALL.iter().map(|r| (r.as_str(), code(r.kind()), again(r.kind()), r.explanation().trim()));
    let transport = TransportReason::ALL.iter().map(|r| (r.as_str(), r.code(), again_there(r.code()), r.explanation()));
    let rows: Vec<String> = ours
        .chain(transport)
        .map(|(word, code, again, meaning)| format!("| `{word}` | `{}` | {again} | {meaning} |", code_name(code)))
        .collect();
    let rows = rows.join("\n");
    format!(
        "# Errors\n\n\
         <!-- Written by `DOMICILE_WRITE_DOCS=1 cargo test -p domicile-grpc --test errors_doc`; a test compares. -->\n\n\
         Every refused call carries `google.rpc.ErrorInfo` with `domain` `{ERROR_DOMAIN}` and one of these words as \
         `reason`. Match on the\nreason, never on the message: reasons are stable, messages are for people. \
         `BadRequest` names every wrong field with its mend,\n`RequestInfo` carries the id under which the operator \
         finds the call in the log, and `RetryInfo` stands wherever trying again\nhelps. FAILED_PRECONDITION has the reason \
         and the message as `PreconditionFailure` too, and what is not there or taken\nstands as `ResourceInfo` by the word \
         of the request. A denied check of access is no \
         error: it is an OK answer with its own reason.\n\n\
         | Reason | Code | Again? | Meaning and mend |\n|---|---|---|---|\n{rows}\n"
    )
}

/// Every code there is.
pub(crate) const ALL_CODES: [Code; 17] = [
    Code::Ok,
    Code::Cancelled,
    Code::Unknown,
    Code::InvalidArgument,
    Code::DeadlineExceeded,
    Code::NotFound,
    Code::AlreadyExists,
    Code::PermissionDenied,
    Code::ResourceExhausted,
    Code::FailedPrecondition,
    Code::Aborted,
    Code::OutOfRange,
    Code::Unimplemented,
    Code::Internal,
    Code::Unavailable,
    Code::DataLoss,
    Code::Unauthenticated,
];

/// A code as gRPC writes it.
pub(crate) const fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

/// At most `limit` bytes, at a character's edge.
fn cut(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        text.to_owned()
    } else {
        text.chars()
            .scan(0, |n, c| {
                *n += c.len_utf8();
                (*n <= limit).then_some(c)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domicile_domain::error::Violation;
    use domicile_domain::model::budget::BudgetKey;
    use domicile_domain::port::store::StoreError;
    use domicile_proto::v1::Reason as WireReason;
    use std::num::NonZeroU32;

    #[test]
    fn every_reason_stands_in_the_contract_and_nothing_else_does() {
        let ours: Vec<String> = Reason::ALL.iter().map(|r| format!("REASON_{}", r.as_str())).collect();
        for name in &ours {
            assert!(WireReason::from_str_name(name).is_some(), "{name} is missing in reason.proto");
        }
        let of_transport = TransportReason::ALL.iter().map(|r| format!("REASON_{}", r.as_str()));
        let transport: Vec<String> = of_transport.chain(["REASON_UNSPECIFIED".to_owned()]).collect();
        for name in &transport {
            assert!(WireReason::from_str_name(name).is_some(), "{name} is missing in reason.proto");
        }
        for number in 0..200 {
            if let Ok(reason) = WireReason::try_from(number) {
                let name = reason.as_str_name();
                assert!(
                    ours.iter().any(|n| n == name) || transport.iter().any(|n| n == name),
                    "{name} is no reason of the domain"
                );
            }
        }
    }

    #[test]
    fn a_refusal_carries_code_reason_metadata_and_fields() {
        for reason in Reason::ALL {
            let mut refusal = Refusal::new(*reason).with("state", "ACTIVE");
            refusal.violations = vec![Violation::new("email", "wrong")];
            let status = of_refusal(&refusal, "r-1");
            let details = status.get_error_details();
            let info = details.error_info().unwrap();
            assert_eq!((info.reason.as_str(), info.domain.as_str()), (reason.as_str(), "domicile"));
            assert_eq!(info.metadata["state"], "ACTIVE");
            assert_eq!(details.bad_request().unwrap().field_violations[0].field, "email");
            assert_eq!(details.request_info().unwrap().request_id, "r-1");
            assert_eq!(status.code(), code(reason.kind()));
            assert_eq!(details.retry_info().is_some(), status.code() == Code::Unavailable);
        }
    }

    #[test]
    fn a_used_up_budget_tells_which_it_is_its_limit_and_the_pause() {
        let budget = BudgetKey::Service("shop".to_owned());
        let pause = Duration::from_millis(42_500);
        let status = of_refusal(&Refusal::exhausted(budget, NonZeroU32::MIN, pause), "r");
        let details = status.get_error_details();
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert!(status.message().contains("43 s"), "{}", status.message());
        assert_eq!(details.retry_info().unwrap().retry_delay, Some(pause));
        let quota = &details.quota_failure().unwrap().violations[0];
        assert_eq!((quota.subject.as_str(), quota.description.as_str()), ("budget:service", status.message()));
        let facts = &details.error_info().unwrap().metadata;
        assert_eq!((facts["budget"].as_str(), facts["limit"].as_str()), ("service", "1"));
    }

    #[test]
    fn nothing_of_a_store_reaches_the_caller() {
        let status = of_refusal(&StoreError::Fault("SELECT secret FROM /var/lib".into()).into(), "r");
        assert_eq!(status.code(), Code::Internal);
        assert!(!format!("{status:?}").contains("secret"));
        let told = Refusal { message: "row 7 of /var/lib".to_owned(), ..Refusal::new(Reason::Internal) };
        assert_eq!(of_refusal(&told, "r").message(), Reason::Internal.explanation().trim());
    }

    #[test]
    fn details_stay_small_whatever_is_wrong() {
        for reason in [Reason::InvalidRequest, Reason::RoleAboveCeiling, Reason::NotFound] {
            let wrong = |i| Violation::new(format!("external.roles[{i}]"), "ж".repeat(600));
            let violations = (0..500).map(wrong).collect();
            let mut refusal = Refusal { violations, message: "ж".repeat(2000), ..Refusal::new(reason) };
            for key in ["a", "b", "c", "d", "e"] {
                refusal = refusal.with(key, "ж".repeat(2000));
            }
            let status = of_refusal(&refusal, &"r".repeat(64));
            assert!(status.details().len() <= 4096, "{reason:?} {}", status.details().len());
            let details = status.get_error_details();
            assert!(details.bad_request().unwrap().field_violations.last().unwrap().description.contains("more"));
        }
    }

    #[test]
    fn a_precondition_and_what_is_missing_are_told_in_the_forms_that_clients_know() {
        let told = |refusal: &Refusal| of_refusal(refusal, "c").get_error_details();
        let state = told(&Refusal::new(Reason::MemberPending));
        let failed = &state.precondition_failure().unwrap().violations;
        assert_eq!(failed.len(), 1);
        assert_eq!((failed[0].r#type.as_str(), failed[0].subject.as_str()), ("MEMBER_PENDING", ""));
        assert_eq!(failed[0].description, Reason::MemberPending.explanation().trim());
        let missing = told(&Refusal::missing("group.role"));
        let resource = missing.resource_info().unwrap();
        assert_eq!((resource.resource_type.as_str(), resource.resource_name.as_str()), ("role", ""));
        // Of what may not be known to exist nothing is told.
        for reason in [Reason::PermissionDenied, Reason::NoAccount, Reason::InvalidRequest] {
            let plain = told(&Refusal::new(reason));
            assert!(plain.precondition_failure().is_none() && plain.resource_info().is_none(), "{reason:?}");
        }
    }
}
