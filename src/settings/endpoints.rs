//! The paths of the endpoints.

use crate::id::is_path;

/// The paths of the endpoints, below the issuer.
///
/// `None` means that the host does not serve the endpoint. The metadata then does not name it.
///
/// ```
/// use otp_grant::Settings;
///
/// let mut settings = Settings::default();
/// settings.endpoints.introspection = None;
/// settings.endpoints.userinfo = Some("/me".to_owned());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Endpoints {
    /// The send endpoint. Defaults to `/otp/send`.
    pub otp_send: Option<String>,
    /// The token endpoint. Defaults to `/oauth2/token`.
    pub token: String,
    /// The revocation endpoint. Defaults to `/oauth2/revoke`.
    pub revocation: Option<String>,
    /// The introspection endpoint. Defaults to `/oauth2/introspect`.
    pub introspection: Option<String>,
    /// The userinfo endpoint. Defaults to `/userinfo`.
    pub userinfo: Option<String>,
    /// The key set. Defaults to `/oauth2/jwks`.
    pub jwks: String,
}

impl Endpoints {
    pub(crate) fn are_paths(&self) -> bool {
        let optional = [&self.otp_send, &self.revocation, &self.introspection, &self.userinfo];
        let paths = optional.into_iter().flatten().chain([&self.token, &self.jwks]);
        let mut seen = std::collections::BTreeSet::new();
        paths.into_iter().all(|path| is_path(path) && !path.starts_with("/.well-known/") && seen.insert(path))
    }
}

impl Default for Endpoints {
    fn default() -> Self {
        Self {
            otp_send: Some("/otp/send".to_owned()),
            token: "/oauth2/token".to_owned(),
            revocation: Some("/oauth2/revoke".to_owned()),
            introspection: Some("/oauth2/introspect".to_owned()),
            userinfo: Some("/userinfo".to_owned()),
            jwks: "/oauth2/jwks".to_owned(),
        }
    }
}
