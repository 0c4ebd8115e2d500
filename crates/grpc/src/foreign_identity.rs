//! Headers by which proxies and gateways tell who calls. None of them means anything here: they are taken off before
//! anybody could read them, and counted, since who sends them expects something of them.

use http::HeaderMap;

use crate::measures;

/// Names, in lower case; one that ends with `*` stands for all that begin so.
const NAMES: &[&str] = &[
    "cf-access-*",
    "impersonate-*",
    "remote-*",
    "ssl-client-*",
    "tailscale-user-*",
    "x-amzn-oidc-*",
    "x-anonymous-consumer",
    "x-auth-*",
    "x-authenticated-*",
    "x-authentik-*",
    "x-client-cert*",
    "x-client-dn",
    "x-client-verify",
    "x-consumer-*",
    "x-credential-*",
    "x-endpoint-api-userinfo",
    "x-forwarded-access-token",
    "x-forwarded-client-cert*",
    "x-forwarded-email",
    "x-forwarded-groups",
    "x-forwarded-preferred-username",
    "x-forwarded-user",
    "x-goog-authenticated-*",
    "x-goog-iap-*",
    "x-ms-client-principal*",
    "x-ms-token-*",
    "x-pomerium-*",
    "x-remote-*",
    "x-spiffe-id",
    "x-ssl-client-*",
    "x-token-*",
    "x-user",
    "x-user-*",
    "x-userinfo",
    "x-username",
    "x-vouch-*",
    "x-webauth-*",
];

/// The entry of the table for a header.
fn entry(header: &str) -> Option<&'static str> {
    NAMES.iter().copied().find(|name| match name.strip_suffix('*') {
        Some(beginning) => header.starts_with(beginning),
        None => header == *name,
    })
}

/// Takes them off.
pub(crate) fn strip(headers: &mut HeaderMap) {
    let found: Vec<_> = headers.keys().filter_map(|name| entry(name.as_str()).map(|e| (name.clone(), e))).collect();
    for (name, entry) in found {
        headers.remove(name);
        measures::stripped(entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn foreign_identities_are_taken_off_and_ours_stay() {
        let foreign = [
            "x-forwarded-user",
            "x-user-id",
            "x-remote-user",
            "x-forwarded-client-cert",
            "x-auth-request-email",
            "x-amzn-oidc-data",
            "x-amzn-oidc-identity",
            "remote-user",
            "x-ssl-client-s-dn",
        ];
        let ours = [
            "authorization",
            "x-domicile-acting-user",
            "x-request-id",
            "traceparent",
            "grpc-timeout",
            "user-agent",
            "x-forwarded-for",
        ];
        let mut headers = HeaderMap::new();
        for name in foreign.into_iter().chain(ours) {
            headers.append(name, HeaderValue::from_static("a"));
            headers.append(name, HeaderValue::from_static("b"));
        }
        strip(&mut headers);
        assert_eq!(headers.keys_len(), ours.len());
        for name in ours {
            assert_eq!(headers.get_all(name).iter().count(), 2, "{name}");
        }
    }
}
