//! Requests of clients, sent to the endpoint that the server has for them.

use std::future::{Future, ready};
use std::pin::pin;
use std::sync::LazyLock;
use std::task::{Context, Poll, Waker};

use otp_grant::exchange::{Engine, NoSigner, drive};
use otp_grant::server::Endpoint;
use otp_grant::*;

/// What a client sends to an endpoint, which the harness finds in the server's own table of routes.
#[derive(Clone, Copy, Default)]
pub struct Post<'a> {
    pub content_type: Option<&'a str>,
    pub authorization: Option<&'a str>,
    pub body: &'a [u8],
}

impl<'a> Post<'a> {
    /// The request with this method to this path.
    pub fn to(self, method: &'a str, path: &'a str) -> Request<'a> {
        let headers = [("content-type", self.content_type), ("authorization", self.authorization)];
        let headers = headers.into_iter().filter_map(|(name, value)| Some((name, value?.as_bytes())));
        Request::new(method, path).headers(headers).body(self.body)
    }
}

pub fn form_request<'a>(body: &'a str, authorization: Option<&'a str>) -> Post<'a> {
    let content_type = Some("application/x-www-form-urlencoded");
    Post { content_type, authorization, body: body.as_bytes() }
}

pub fn json_request<'a>(body: &'a str, authorization: Option<&'a str>) -> Post<'a> {
    Post { content_type: Some("application/json"), authorization, body: body.as_bytes() }
}

/// The two faces of the crate. Each scenario runs over the one that the environment names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Face {
    /// The server calls its store and its directory.
    AsyncPorts,
    /// The engine asks, and the harness calls them.
    Exchange,
}

impl Face {
    /// `FACE=exchange` is the second.
    pub fn of_this_run() -> Self {
        static FACE: LazyLock<Face> = LazyLock::new(|| match std::env::var("FACE").as_deref() {
            Ok("exchange") => Face::Exchange,
            Ok("ports") | Err(_) => Face::AsyncPorts,
            Ok(other) => panic!("FACE is `ports` or `exchange`, not {other}"),
        });
        *FACE
    }
}

/// A server whose endpoints are asked by name.
pub trait Posts: Sync {
    /// The reply of an endpoint that is served, or the code that it wants to have delivered.
    fn ask(
        &self,
        method: &'static str,
        endpoint: Endpoint,
        post: Post<'_>,
    ) -> impl Future<Output = Result<Delivery, Reply>> + Send;

    /// The reply of an endpoint that is served and delivers nothing.
    fn reply(&self, method: &'static str, endpoint: Endpoint, post: Post<'_>) -> impl Future<Output = Reply> + Send {
        async move {
            match self.ask(method, endpoint, post).await {
                Ok(_) => panic!("{endpoint:?} delivers a code"),
                Err(reply) => reply,
            }
        }
    }

    fn post_send(&self, post: Post<'_>) -> impl Future<Output = Result<Delivery, Reply>> + Send {
        self.ask("POST", Endpoint::OtpSend, post)
    }

    fn post_token(&self, post: Post<'_>) -> impl Future<Output = Reply> + Send {
        self.reply("POST", Endpoint::Token, post)
    }

    fn post_revoke(&self, post: Post<'_>) -> impl Future<Output = Reply> + Send {
        self.reply("POST", Endpoint::Revocation, post)
    }

    fn post_introspect(&self, post: Post<'_>) -> impl Future<Output = Reply> + Send {
        self.reply("POST", Endpoint::Introspection, post)
    }

    fn post_userinfo(&self, post: Post<'_>) -> impl Future<Output = Reply> + Send {
        self.reply("POST", Endpoint::Userinfo, post)
    }

    fn get_jwks(&self) -> Reply {
        self.document(Endpoint::Jwks)
    }

    fn get_metadata(&self) -> Reply {
        self.document(Endpoint::Metadata)
    }

    fn get_openid_configuration(&self) -> Reply {
        self.document(Endpoint::OpenidConfiguration)
    }

    /// A document, for which the server has nothing to wait for.
    fn document(&self, endpoint: Endpoint) -> Reply {
        match pin!(self.reply("GET", endpoint, Post::default())).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(reply) => reply,
            Poll::Pending => panic!("{endpoint:?} waits"),
        }
    }
}

impl<S: Store, D: Directory> Posts for AuthorizationServer<S, D> {
    async fn ask(&self, method: &'static str, endpoint: Endpoint, post: Post<'_>) -> Result<Delivery, Reply> {
        let route = self.routes().find(|route| route.endpoint() == endpoint);
        let path = route.unwrap_or_else(|| panic!("{endpoint:?} is not served")).path();
        let mut sent = None;
        let deliver = |delivery| {
            sent = Some(delivery);
            ready(Reply::not_found())
        };
        let reply = match Face::of_this_run() {
            Face::AsyncPorts => self.handle(post.to(method, path), deliver).await,
            Face::Exchange => match Engine::of(self).begin(&post.to(method, path)) {
                Some(step) => Some(drive(step, self.store(), self.directory(), &NoSigner, deliver).await),
                None => None,
            },
        };
        sent.ok_or(reply.unwrap())
    }
}
