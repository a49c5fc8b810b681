//! Finds the endpoint that a request is for, so that a host needs one route for all of them.

use core::future::Future;

use crate::directory::Directory;
use crate::flow::send_otp::Delivery;
use crate::id::Issuer;
use crate::server::AuthorizationServer;
use crate::settings::endpoints::Endpoints;
use crate::store::Store;
use crate::wire::reply::Reply;
use crate::wire::request::Request;

impl<S: Store, D: Directory> AuthorizationServer<S, D> {
    /// Answers a request to any endpoint, wherever [`Settings::endpoints`](crate::Settings::endpoints) says that it is;
    /// `None` when the path is not that of an endpoint. What clients are told of paths and what is served can't differ.
    ///
    /// `path` comes without the query, and with the path of the issuer if it has one. `deliver` sends a code and turns the
    /// delivery into the reply: [`Delivery::accepted`] or [`Delivery::failed`].
    ///
    /// ```
    /// # use otp_grant::*;
    /// # async fn example(server: &AuthorizationServer<MemoryStore, MemoryDirectory>, request: Request<'_>) {
    /// let deliver = async |delivery: Delivery| {
    ///     println!("{} for {}", delivery.code().expose_secret(), delivery.address().as_str());
    ///     delivery.accepted()
    /// };
    /// match server.handle("POST", "/oauth2/token", request, deliver).await {
    ///     Some(reply) => println!("{}", reply.status()),
    ///     None => println!("404"),
    /// }
    /// # }
    /// ```
    pub async fn handle<F>(
        &self,
        method: &str,
        path: &str,
        request: Request<'_>,
        deliver: impl FnOnce(Delivery) -> F,
    ) -> Option<Reply>
    where
        F: Future<Output = Reply>,
    {
        let endpoint = Endpoint::find(path, self.issuer(), self.endpoints())?;
        // A `GET` has no body that means anything (RFC 9110 section 9.3.1).
        let request = if method == "POST" { request } else { Request { content_type: None, body: b"", ..request } };
        Some(match (endpoint, method) {
            (Endpoint::OtpSend, "POST") => match self.send_otp(request).await {
                Ok(delivery) => deliver(delivery).await,
                Err(refusal) => refusal,
            },
            (Endpoint::Token, "POST") => self.token(request).await,
            (Endpoint::Revocation, "POST") => self.revoke(request).await,
            (Endpoint::Introspection, "POST") => self.introspect(request).await,
            (Endpoint::Userinfo, "GET" | "HEAD" | "POST") => self.userinfo(request).await,
            (Endpoint::Jwks, "GET" | "HEAD") => self.jwks(),
            (Endpoint::Metadata, "GET" | "HEAD") => self.metadata(),
            (Endpoint::OpenidConfiguration, "GET" | "HEAD") => self.openid_configuration(),
            (endpoint, _) => Reply::method_not_allowed(endpoint.methods()),
        })
    }
}

/// What a path stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Endpoint {
    OtpSend,
    Token,
    Revocation,
    Introspection,
    Userinfo,
    Jwks,
    Metadata,
    OpenidConfiguration,
}

impl Endpoint {
    fn find(path: &str, issuer: &Issuer, endpoints: &Endpoints) -> Option<Self> {
        if path == issuer.metadata_path() {
            return Some(Self::Metadata);
        }
        let path = path.strip_prefix(issuer.path())?;
        let Endpoints { otp_send, token, revocation, introspection, userinfo, jwks } = endpoints;
        let served = [
            (otp_send.as_deref(), Self::OtpSend),
            (Some(token), Self::Token),
            (revocation.as_deref(), Self::Revocation),
            (introspection.as_deref(), Self::Introspection),
            (userinfo.as_deref(), Self::Userinfo),
            (Some(jwks), Self::Jwks),
            (Some("/.well-known/openid-configuration"), Self::OpenidConfiguration),
        ];
        served.into_iter().find(|(known, _)| *known == Some(path)).map(|(_, endpoint)| endpoint)
    }

    /// The methods that it has, as `Allow` names them.
    fn methods(self) -> &'static str {
        match self {
            Self::OtpSend | Self::Token | Self::Revocation | Self::Introspection => "POST",
            Self::Userinfo => "GET, HEAD, POST",
            Self::Jwks | Self::Metadata | Self::OpenidConfiguration => "GET, HEAD",
        }
    }
}
