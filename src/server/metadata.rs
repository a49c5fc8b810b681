//! The documents by which clients discover the server: RFC 8414 metadata, and the OpenID provider configuration.

use serde::Serialize;

use crate::dpop::DpopSupport;
use crate::id::Issuer;
use crate::jwt::algorithm::Algorithm;
use crate::jwt::jwk::PublicKeySet;
use crate::server::routes::{Endpoint, Routes};
use crate::settings::Settings;

use crate::wire::request::token::REFRESH_GRANT_TYPE;

/// The metadata of RFC 8414 section 2. With `openid`, also the metadata of OpenID Connect Discovery section 3.
///
/// `response_types_supported` is empty and there is no `authorization_endpoint`, because no grant of this server uses
/// that endpoint. Both specifications require `response_types_supported`, and both forbid empty lists. Readers tolerate
/// an empty list better than an absent member.
#[derive(Serialize)]
pub(crate) struct Metadata<'a> {
    issuer: &'a str,
    token_endpoint: &'a str,
    jwks_uri: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    otp_send_endpoint: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revocation_endpoint: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    introspection_endpoint: Option<&'a str>,
    scopes_supported: Vec<&'a str>,
    response_types_supported: [&'static str; 0],
    grant_types_supported: Vec<&'a str>,
    token_endpoint_auth_methods_supported: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_endpoint_auth_signing_alg_values_supported: Option<&'static [&'static str]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revocation_endpoint_auth_methods_supported: Option<Vec<&'static str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revocation_endpoint_auth_signing_alg_values_supported: Option<&'static [&'static str]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    introspection_endpoint_auth_methods_supported: Option<Vec<&'static str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    introspection_endpoint_auth_signing_alg_values_supported: Option<&'static [&'static str]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dpop_signing_alg_values_supported: Option<&'static [&'static str]>,
    #[serde(flatten)]
    openid: Option<OpenId<'a>>,
}

/// The members that an OpenID provider adds.
#[derive(Serialize)]
struct OpenId<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    userinfo_endpoint: Option<&'a str>,
    subject_types_supported: [&'static str; 1],
    id_token_signing_alg_values_supported: Vec<&'static str>,
    claims_supported: Vec<&'a str>,
    claim_types_supported: [&'static str; 1],
    claims_parameter_supported: bool,
    request_parameter_supported: bool,
    request_uri_parameter_supported: bool,
}

impl<'a> Metadata<'a> {
    /// Makes the metadata of an authorization server.
    pub(crate) fn new(issuer: &'a Issuer, settings: &'a Settings, routes: &'a Routes) -> Self {
        let revocation_endpoint = routes.url(Endpoint::Revocation);
        let introspection_endpoint = routes.url(Endpoint::Introspection);
        // Clients with keys can use every endpoint at which clients authenticate.
        let methods = |without_keys: &[&'static str]| {
            let with_keys = settings.client_assertions.then_some("private_key_jwt");
            without_keys.iter().copied().chain(with_keys).collect()
        };
        let algorithms = settings.client_assertions.then_some(Algorithm::NAMES.as_slice());
        let otp_grant_types = settings.grant_types.iter().map(|(uri, _)| uri.as_str());
        Self {
            issuer: issuer.as_str(),
            token_endpoint: routes.url(Endpoint::Token).unwrap_or_default(),
            jwks_uri: routes.url(Endpoint::Jwks).unwrap_or_default(),
            otp_send_endpoint: routes.url(Endpoint::OtpSend),
            revocation_endpoint,
            introspection_endpoint,
            scopes_supported: settings.scopes_supported.iter().collect(),
            response_types_supported: [],
            grant_types_supported: otp_grant_types.chain([REFRESH_GRANT_TYPE]).collect(),
            token_endpoint_auth_methods_supported: methods(&AUTH_METHODS),
            token_endpoint_auth_signing_alg_values_supported: algorithms,
            revocation_endpoint_auth_methods_supported: revocation_endpoint.map(|_| methods(&AUTH_METHODS)),
            revocation_endpoint_auth_signing_alg_values_supported: revocation_endpoint.and(algorithms),
            introspection_endpoint_auth_methods_supported: introspection_endpoint.map(|_| methods(&WITH_SECRET)),
            introspection_endpoint_auth_signing_alg_values_supported: introspection_endpoint.and(algorithms),
            dpop_signing_alg_values_supported: (settings.dpop != DpopSupport::Off).then_some(&Algorithm::NAMES),
            openid: None,
        }
    }

    /// Makes the same metadata with the members that an OpenID provider adds.
    pub(crate) fn openid(issuer: &'a Issuer, settings: &'a Settings, routes: &'a Routes, keys: &PublicKeySet) -> Self {
        let mut algorithms: Vec<_> = keys.iter().map(|key| key.algorithm()).map(Algorithm::as_str).collect();
        algorithms.sort_unstable();
        algorithms.dedup();
        let mut claims: Vec<_> = ID_TOKEN_CLAIMS.to_vec();
        for claim in settings.claims_supported.iter().map(String::as_str) {
            if !claims.contains(&claim) {
                claims.push(claim);
            }
        }
        let openid = OpenId {
            userinfo_endpoint: routes.url(Endpoint::Userinfo),
            subject_types_supported: ["public"],
            id_token_signing_alg_values_supported: algorithms,
            claims_supported: claims,
            claim_types_supported: ["normal"],
            claims_parameter_supported: false,
            request_parameter_supported: false,
            request_uri_parameter_supported: false,
        };
        Self { openid: Some(openid), ..Self::new(issuer, settings, routes) }
    }
}

/// The authentication methods of clients without keys. The last one is for clients without a secret.
const AUTH_METHODS: [&str; 3] = ["client_secret_basic", "client_secret_post", "none"];
const WITH_SECRET: [&str; 2] = ["client_secret_basic", "client_secret_post"];
const ID_TOKEN_CLAIMS: [&str; 10] = ["sub", "iss", "aud", "azp", "exp", "iat", "jti", "auth_time", "amr", "sid"];
