//! Refusals as gRPC statuses with rich details, in one place.

use std::collections::HashMap;
use std::time::Duration;

use domicile_domain::error::{ErrorKind, Reason, Refusal};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// The domain of every `ErrorInfo`.
pub const ERROR_DOMAIN: &str = "domicile";
/// All details together stay below this: some clients lose the status above about 6 KiB of headers.
const DETAILS_LIMIT: usize = 3 * 1024;

const fn code(kind: ErrorKind) -> Code {
    match kind {
        ErrorKind::Invalid => Code::InvalidArgument,
        ErrorKind::Denied => Code::PermissionDenied,
        ErrorKind::NotFound => Code::NotFound,
        ErrorKind::AlreadyExists => Code::AlreadyExists,
        ErrorKind::Precondition => Code::FailedPrecondition,
        ErrorKind::Aborted => Code::Aborted,
        ErrorKind::Unavailable => Code::Unavailable,
        ErrorKind::Internal => Code::Internal,
    }
}

/// A status with its stable reason.
pub(crate) fn with_reason(code: Code, reason: &str, message: &str, correlation: &str) -> Status {
    let mut details = ErrorDetails::new();
    details.set_error_info(reason, ERROR_DOMAIN, HashMap::new()).set_request_info(correlation, "");
    Status::with_error_details(code, message, details)
}

/// What the caller sees of a refusal. What only the operator may see is logged here, once.
pub(crate) fn of_refusal(refusal: &Refusal, correlation: &str) -> Status {
    if let Some(cause) = &refusal.cause {
        let reason = refusal.reason.as_str();
        if refusal.kind() == ErrorKind::Internal {
            tracing::error!(request.id = correlation, error = %cause, "a call failed by a defect of this service");
        } else {
            tracing::warn!(request.id = correlation, reason, error = %cause, "a call could not be served now");
        }
    }
    let mut details = ErrorDetails::new();
    let metadata: HashMap<String, String> =
        refusal.metadata.iter().map(|(key, value)| ((*key).to_owned(), cut(value, 512))).collect();
    details.set_error_info(refusal.reason.as_str(), ERROR_DOMAIN, metadata).set_request_info(correlation, "");
    if refusal.kind() == ErrorKind::Unavailable {
        let pause = if refusal.reason == Reason::Contention { 50 } else { 1000 };
        details.set_retry_info(Some(Duration::from_millis(pause)));
    }
    let mut size = 512;
    for (told, violation) in refusal.violations.iter().enumerate() {
        let (field, message) = (cut(&violation.field, 128), cut(&violation.message, 400));
        size += field.len() + message.len() + 16;
        if size > DETAILS_LIMIT {
            let left = refusal.violations.len() - told;
            details.add_bad_request_violation("", format!("{left} more; mend these first"));
            break;
        }
        details.add_bad_request_violation(field, message);
    }
    Status::with_error_details(code(refusal.kind()), cut(&refusal.message, 512), details)
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
    use domicile_domain::port::store::StoreError;
    use domicile_proto::v1::Reason as WireReason;

    #[test]
    fn every_reason_stands_in_the_contract_and_nothing_else_does() {
        let ours: Vec<String> = Reason::ALL.iter().map(|r| format!("REASON_{}", r.as_str())).collect();
        for name in &ours {
            assert!(WireReason::from_str_name(name).is_some(), "{name} is missing in reason.proto");
        }
        let transport = ["REASON_UNSPECIFIED", "REASON_UNAUTHENTICATED", "REASON_DEADLINE_EXCEEDED"];
        for number in 0..200 {
            if let Ok(reason) = WireReason::try_from(number) {
                let name = reason.as_str_name();
                assert!(
                    ours.iter().any(|n| n == name) || transport.contains(&name),
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
    fn nothing_of_a_store_reaches_the_caller() {
        let status = of_refusal(&StoreError::Fault("SELECT secret FROM /var/lib".into()).into(), "r");
        assert_eq!(status.code(), Code::Internal);
        assert!(!format!("{status:?}").contains("secret"));
    }

    #[test]
    fn details_stay_small_whatever_is_wrong() {
        let violations = (0..500).map(|i| Violation::new(format!("external.roles[{i}]"), "ж".repeat(600))).collect();
        let status = of_refusal(&Refusal::invalid(violations), "r");
        assert!(status.details().len() <= 4096, "{}", status.details().len());
        let details = status.get_error_details();
        assert!(details.bad_request().unwrap().field_violations.last().unwrap().description.contains("more"));
    }
}
