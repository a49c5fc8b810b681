//! What the life of a session costs beside its signatures, from request bytes to reply bytes.
//!
//! The floors are what `ring` alone takes with the same key: two signatures of the same signing inputs for a refresh, one
//! verification of the same token for introspection, userinfo and the revocation of an access token. The revocation of
//! a refresh token has none. The sessions take turns, so that no record is any warmer than another. After the groups,
//! `overhead` is what each takes beyond its floor.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a benchmark that fails has to fail loudly")]

mod support;

use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::Arc;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use criterion::Criterion;
use otp_grant::{Reply, Request};
use pollster::block_on;
use serde_json::{Value, json};

use crate::support::harness::{but, form, form_request, read, text};
use crate::support::{
    Bare, Host, KEYS, Server, Work, bench_work, criterion, grant, granted, is_measured, print_overhead,
};

fn main() {
    let mut criterion = criterion();
    let mut pools = KEYS.map(Pool::new);
    for pool in &mut pools {
        calls(&mut criterion, pool);
    }
    let [_, es256, _] = &pools;
    refusals(&mut criterion, es256);
    criterion.final_summary();

    if is_measured() {
        println!();
        for pool in &mut pools {
            for call in CALLS {
                print_overhead(&format!("{} {}", pool.host.algorithm, call.name()), &mut Calls { pool, call });
            }
        }
    }
}

fn calls(criterion: &mut Criterion, pool: &mut Pool) {
    let mut group = criterion.benchmark_group(pool.host.algorithm);
    let issued = pool.sessions[0].issued();
    group.bench_function("two_signatures", |bencher| bencher.iter(|| sign_both(&pool.host.bare, &issued)));
    group.bench_function("one_verification", |bencher| bencher.iter(|| verify_first(&pool.host.bare, &issued)));
    for call in CALLS {
        bench_work(&mut group, call.name(), &mut Calls { pool, call });
    }
    group.finish();
}

/// Of these, the forged token alone costs a verification.
fn refusals(criterion: &mut Criterion, pool: &Pool) {
    let mut group = criterion.benchmark_group("refusals");
    let session = &pool.sessions[0];
    let garbage = |token: &str| "A".repeat(token.len());
    let (signing_input, _) = session.access_token.rsplit_once('.').unwrap();
    let (_, of_another) = session.id_token.rsplit_once('.').unwrap();
    let forged = format!("{signing_input}.{of_another}");
    let other_client = [("client_id", "OTHER_CLIENT_ID"), ("client_secret", "OTHER_CLIENT_SECRET")];
    for (name, call, body) in [
        ("garbage_refresh_token", Call::Refresh, refresh_body(&garbage(&session.refresh_token), &[])),
        ("refresh_token_of_another_client", Call::Refresh, refresh_body(&session.refresh_token, &other_client)),
        ("garbage_access_token", Call::Introspect, token_body(&garbage(&session.access_token))),
        ("forged_access_token", Call::Introspect, token_body(&forged)),
    ] {
        let (_, answer) = read(&call.make(&session.server, &body));
        assert!(answer["error"] == "invalid_grant" || answer == json!({ "active": false }), "{name}: {answer}");
        group.bench_function(name, |bencher| bencher.iter(|| call.make(&session.server, &body)));
    }
    group.finish();
}

/// A call that a client makes in the life of a session.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Call {
    Refresh,
    Introspect,
    Userinfo,
    RevokeAccessToken,
    RevokeRefreshToken,
}

impl Call {
    fn name(self) -> &'static str {
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

    fn make(self, server: &Server, request: &str) -> Reply {
        let request = black_box(request);
        match self {
            Self::Refresh => block_on(server.token(form_request(request, None))),
            Self::Introspect => block_on(server.introspect(form_request(request, None))),
            Self::RevokeAccessToken | Self::RevokeRefreshToken => block_on(server.revoke(form_request(request, None))),
            Self::Userinfo => {
                let request = Request { content_type: None, authorization: Some(request), body: b"" };
                block_on(server.userinfo(request))
            }
        }
    }
}

/// One kind of call, made for one session after the other.
struct Calls<'p> {
    pool: &'p mut Pool,
    call: Call,
}

struct Round {
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

/// Sessions of one host, of which the next is always the one that has been left alone for longest.
struct Pool {
    host: Host,
    sessions: VecDeque<Session>,
}

impl Pool {
    fn new(key: (&'static str, &'static str)) -> Self {
        let mut host = Host::new(key);
        let size = if is_measured() { SESSIONS } else { 1 };
        let sessions = (0..size).map(|_| log_in(&mut host)).collect();
        Self { host, sessions }
    }
}

struct Session {
    server: Arc<Server>,
    access_token: String,
    id_token: String,
    refresh_token: String,
}

impl Session {
    fn new(server: Arc<Server>, answer: &Value) -> Self {
        let [access_token, id_token, refresh_token] =
            ["access_token", "id_token", "refresh_token"].map(|name| text(answer, name).to_owned());
        Self { server, access_token, id_token, refresh_token }
    }

    /// The access token and the ID token, as `ring` gets them.
    fn issued(&self) -> [Signed; 2] {
        [Signed::new(&self.access_token), Signed::new(&self.id_token)]
    }
}

/// What was signed, and its signature.
struct Signed {
    input: String,
    signature: Vec<u8>,
}

impl Signed {
    fn new(token: &str) -> Self {
        let (input, signature) = token.rsplit_once('.').unwrap();
        Self { input: input.to_owned(), signature: BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap() }
    }
}

/// With a scope that gives userinfo something to say.
fn log_in(host: &mut Host) -> Session {
    let (server, body) = host.send();
    let body = but(&body, json!({ "scope": "openid profile email" })).to_string();
    let answer = granted(&grant(&server, &body));
    Session::new(server, &answer)
}

fn sign_both(bare: &Bare, issued: &[Signed; 2]) -> [Vec<u8>; 2] {
    issued.each_ref().map(|signed| bare.sign(black_box(signed.input.as_bytes())))
}

fn verify_first(bare: &Bare, [access_token, _]: &[Signed; 2]) {
    bare.verify(black_box(access_token.input.as_bytes()), black_box(&access_token.signature));
}

fn refresh_body(refresh_token: &str, changes: &[(&str, &str)]) -> String {
    form(&[("grant_type", "refresh_token"), ("refresh_token", refresh_token)], changes)
}

fn token_body(token: &str) -> String {
    form(&[("token", token)], &[])
}

const CALLS: [Call; 5] =
    [Call::Refresh, Call::Introspect, Call::Userinfo, Call::RevokeAccessToken, Call::RevokeRefreshToken];
const SESSIONS: usize = 4096;
