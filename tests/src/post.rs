//! Requests of clients, sent to the endpoint that the server has for them.

use std::future::{Future, ready};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use otp_grant::server::{Endpoint, Route};
use otp_grant::*;

use crate::face::{Asked, Faces};
use crate::replies;

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

/// A server whose endpoints are asked by name.
pub trait Posts: Faces {
    /// The reply to a raw request, over the face of this run.
    fn serve<'a, F>(
        &'a self,
        request: Request<'a>,
        deliver: impl FnOnce(Delivery) -> F + Send + 'a,
    ) -> impl Future<Output = Option<Reply>> + Send
    where
        F: Future<Output = Reply> + Send,
    {
        async move {
            let (method, path) = (request.method(), request.path());
            let mut code = None;
            let deliver = |delivery: Delivery| {
                let message = delivery.message().filter(|_| replies::are_kept());
                code = message.map(|message| message.code().expose_secret().to_owned());
                deliver(delivery)
            };
            let reply = match self.face() {
                Asked::Server(server) => server.handle(request, deliver).await,
                Asked::Exchange(driven) => match driven.engine.begin(&request) {
                    Some(step) => Some(driven.drive(step, deliver).await),
                    None => None,
                },
            };
            replies::keep_reply(method, path, code.as_deref(), reply.as_ref());
            reply
        }
    }

    /// The reply of an endpoint that is served, or the code that it wants to have delivered.
    fn ask(
        &self,
        method: &'static str,
        endpoint: Endpoint,
        post: Post<'_>,
    ) -> impl Future<Output = Result<Delivery, Reply>> + Send {
        async move {
            let path = match self.face() {
                Asked::Server(server) => path_of(server.routes(), endpoint),
                Asked::Exchange(driven) => path_of(driven.engine.routes(), endpoint),
            };
            let mut sent = None;
            let deliver = |delivery| {
                sent = Some(delivery);
                ready(Reply::not_found())
            };
            let reply = self.serve(post.to(method, &path), deliver).await;
            sent.ok_or(reply.unwrap())
        }
    }

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

impl<T: Faces> Posts for T {}

fn path_of<'a>(mut routes: impl Iterator<Item = &'a Route>, endpoint: Endpoint) -> String {
    let route = routes.find(|route| route.endpoint() == endpoint);
    route.unwrap_or_else(|| panic!("{endpoint:?} is not served")).path().to_owned()
}
