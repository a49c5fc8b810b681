//! The requests in the life of a session, as work.

use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::Arc;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use otp_grant::Reply;
use otp_grant_tests::{Post, Posts as _, but, form, form_request, text};
use pollster::block_on;
use serde_json::{Value, json};

use crate::{Bare, Host, Server, Work, grant, granted, is_measured};

/// A request that a client makes in the life of a session.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Call {
    Refresh,
    Introspect,
    Userinfo,
    RevokeAccessToken,
    RevokeRefreshToken,
}

impl Call {
    pub fn name(self) -> &'static str {
        match self {
            Self::Refresh => "refresh",
            Self::Introspect => "introspect",
            Self::Userinfo => "userinfo",
            Self::RevokeAccessToken => "revoke_access_token",
            Self::RevokeRefreshToken => "revoke_refresh_token",
        }
    }

    /// The body, or for userinfo the `Authorization` header.
    fn request(self, session: &Session) -> String {
        match self {
            Self::Refresh => refresh_body(&session.refresh_token, &[]),
            Self::Introspect | Self::RevokeAccessToken => token_body(&session.access_token),
            Self::RevokeRefreshToken => token_body(&session.refresh_token),
            Self::Userinfo => format!("Bearer {}", session.access_token),
        }
    }

    pub fn make(self, server: &Server, request: &str) -> Reply {
        let request = black_box(request);
        match self {
            Self::Refresh => block_on(server.post_token(form_request(request, None))),
            Self::Introspect => block_on(server.post_introspect(form_request(request, None))),
            Self::RevokeAccessToken | Self::RevokeRefreshToken => {
                block_on(server.post_revoke(form_request(request, None)))
            }
            Self::Userinfo => {
                let request = Post { content_type: None, authorization: Some(request), body: b"" };
                block_on(server.post_userinfo(request))
            }
        }
    }
}

/// One kind of call, made for one session after another.
pub struct Calls<'p> {
    pub pool: &'p mut Pool,
    pub call: Call,
}

pub struct Round {
    session: Session,
    request: String,
    issued: [Signed; 2],
}

impl Work for Calls<'_> {
    type Round = Round;

    fn prepare(&mut self) -> Round {
        let session = self.pool.sessions.pop_front().unwrap();
        Round { request: self.call.request(&session), issued: session.issued(), session }
    }

    fn floor(&self, round: &Round) {
        let bare = &self.pool.host.bare;
        match self.call {
            Call::Refresh => drop(black_box(sign_both(bare, &round.issued))),
            Call::Introspect | Call::Userinfo | Call::RevokeAccessToken => verify_first(bare, &round.issued),
            Call::RevokeRefreshToken => {}
        }
    }

    fn work(&self, round: &Round) -> Reply {
        self.call.make(&round.session.server, &round.request)
    }

    fn settle(&mut self, round: Round, reply: &Reply) {
        let mut session = round.session;
        match self.call {
            Call::Refresh => session = Session::new(session.server, &granted(reply)),
            Call::Introspect => assert_eq!(granted(reply)["active"], true),
            Call::Userinfo => assert!(granted(reply)["name"].is_string()),
            Call::RevokeAccessToken | Call::RevokeRefreshToken => {
                assert_eq!(reply.status(), 200);
                session = log_in(&mut self.pool.host);
            }
        }
        self.pool.sessions.push_back(session);
    }
}

/// Sessions of one host. The next session is always the one whose last use is longest ago.
pub struct Pool {
    pub host: Host,
    pub sessions: VecDeque<Session>,
}

impl Pool {
    pub fn new(key: (&'static str, &'static str)) -> Self {
        let mut host = Host::new(key);
        let size = if is_measured() { SESSIONS } else { 1 };
        let sessions = (0..size).map(|_| log_in(&mut host)).collect();
        Self { host, sessions }
    }
}

pub struct Session {
    pub server: Arc<Server>,
    pub access_token: String,
    pub id_token: String,
    pub refresh_token: String,
}

impl Session {
    fn new(server: Arc<Server>, answer: &Value) -> Self {
        let [access_token, id_token, refresh_token] =
            ["access_token", "id_token", "refresh_token"].map(|name| text(answer, name).to_owned());
        Self { server, access_token, id_token, refresh_token }
    }

    /// The access token and the ID token, in the form that `ring` takes.
    pub fn issued(&self) -> [Signed; 2] {
        [Signed::new(&self.access_token), Signed::new(&self.id_token)]
    }
}

/// Signed bytes, and their signature.
pub struct Signed {
    input: String,
    signature: Vec<u8>,
}

impl Signed {
    fn new(token: &str) -> Self {
        let (input, signature) = token.rsplit_once('.').unwrap();
        Self { input: input.to_owned(), signature: BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap() }
    }
}

/// Logs in with a scope for which userinfo returns claims.
fn log_in(host: &mut Host) -> Session {
    let (server, body) = host.send();
    let body = but(&body, json!({ "scope": "openid profile email" })).to_string();
    let answer = granted(&grant(&server, &body));
    Session::new(server, &answer)
}

pub fn sign_both(bare: &Bare, issued: &[Signed; 2]) -> [Vec<u8>; 2] {
    issued.each_ref().map(|signed| bare.sign(black_box(signed.input.as_bytes())))
}

pub fn verify_first(bare: &Bare, [access_token, _]: &[Signed; 2]) {
    bare.verify(black_box(access_token.input.as_bytes()), black_box(&access_token.signature));
}

pub fn refresh_body(refresh_token: &str, changes: &[(&str, &str)]) -> String {
    form(&[("grant_type", "refresh_token"), ("refresh_token", refresh_token)], changes)
}

pub fn token_body(token: &str) -> String {
    form(&[("token", token)], &[])
}

/// How many sessions take turns.
pub const SESSIONS: usize = 4096;
