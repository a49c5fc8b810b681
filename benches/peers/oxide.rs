//! A refresh through the token flow of `oxide-auth`, with its own parts in memory: the form is read, the answer
//! written.
//!
//! Its tokens are not JWTs but random strings of 16 bytes each: it signs nothing.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use base64::{Engine, prelude::BASE64_STANDARD};
use chrono::{TimeDelta, Utc};
use otp_grant_benches::sessions::SESSIONS;
use otp_grant_benches::{is_measured, nanos};
use otp_grant_peers::beside::BATCH;
use otp_grant_tests::text;
use oxide_auth::endpoint::{Issuer, NormalizedParameter, QueryParameter, WebRequest, WebResponse};
use oxide_auth::frontends::simple::endpoint::refresh_flow;
use oxide_auth::primitives::generator::RandomGenerator;
use oxide_auth::primitives::grant::{Extensions, Grant};
use oxide_auth::primitives::issuer::TokenMap;
use oxide_auth::primitives::registrar::{Client, ClientMap, PasswordPolicy, RegisteredUrl, RegistrarError};
use ring::digest::{SHA256, digest};
use serde_json::Value;
use url::Url;

/// A token endpoint, and the forms that refresh its sessions, of which the next is always the one left alone for
/// longest.
pub(crate) struct Oxide {
    clients: ClientMap,
    tokens: TokenMap<RandomGenerator>,
    authorization: String,
    forms: VecDeque<String>,
}

impl Oxide {
    pub(crate) fn new() -> Self {
        let mut clients = ClientMap::new();
        clients.set_password_policy(Digest);
        let redirect_uri: Url = "https://client.example.com/callback".parse().unwrap();
        let registered = RegisteredUrl::Semantic(redirect_uri.clone());
        let scope = "openid profile email";
        clients.register_client(Client::confidential(CLIENT, registered, scope.parse().unwrap(), SECRET.as_bytes()));
        let mut tokens = TokenMap::new(RandomGenerator::new(16));
        let size = if is_measured() { SESSIONS } else { 1 };
        let forms = (0..size).map(|number| {
            let grant = Grant {
                owner_id: format!("USER_{number}"),
                client_id: CLIENT.to_owned(),
                scope: scope.parse().unwrap(),
                redirect_uri: redirect_uri.clone(),
                until: Utc::now() + TimeDelta::days(1),
                extensions: Extensions::new(),
            };
            form(&tokens.issue(grant).unwrap().refresh.unwrap())
        });
        let forms = forms.collect();
        let authorization = format!("Basic {}", BASE64_STANDARD.encode(format!("{CLIENT}:{SECRET}")));
        let mut oxide = Self { clients, tokens, authorization, forms };
        oxide.refuses_what_it_should();
        oxide
    }

    /// The nanoseconds of each of a batch of refreshes.
    pub(crate) fn refreshes(&mut self) -> Vec<f64> {
        (0..BATCH).map(|_| self.refresh()).collect()
    }

    /// The time of some refreshes.
    pub(crate) fn refresh_often(&mut self, iterations: u64) -> Duration {
        Duration::from_secs_f64((0..iterations).map(|_| self.refresh()).sum::<f64>() / 1e9)
    }

    fn refresh(&mut self) -> f64 {
        let used = self.forms.pop_front().unwrap();
        let (taken, answer) = nanos(|| self.call(&used));
        self.forms.push_back(form(&answer.refresh_token()));
        taken
    }

    fn call(&mut self, body: &str) -> Answer {
        let form = Form { body, authorization: &self.authorization };
        refresh_flow(&self.clients, &mut self.tokens).execute(form).ok().unwrap()
    }

    /// A refresh token works once, and only for the client that it belongs to.
    fn refuses_what_it_should(&mut self) {
        let used = self.forms.pop_front().unwrap();
        let wrong = format!("Basic {}", BASE64_STANDARD.encode(format!("{CLIENT}:wrong")));
        let right = std::mem::replace(&mut self.authorization, wrong);
        assert_eq!(self.call(&used).status, 401);
        self.authorization = right;
        let answer = self.call(&used);
        assert_eq!(answer.status, 200);
        assert_eq!(self.call(&used).status, 400);
        self.forms.push_front(form(&answer.refresh_token()));
    }
}

/// Keeps a digest of each secret, as this crate does. By default `oxide-auth` spends an Argon2 on each request of a
/// client, next to which all the rest is nothing.
struct Digest;

impl PasswordPolicy for Digest {
    fn store(&self, _: &str, secret: &[u8]) -> Vec<u8> {
        digest(&SHA256, secret).as_ref().to_vec()
    }

    fn check(&self, _: &str, secret: &[u8], stored: &[u8]) -> Result<(), RegistrarError> {
        if digest(&SHA256, secret).as_ref() == stored { Ok(()) } else { Err(RegistrarError::Unspecified) }
    }
}

/// A request, as a frontend gets it.
struct Form<'a> {
    body: &'a str,
    authorization: &'a str,
}

impl WebRequest for Form<'_> {
    type Error = Infallible;
    type Response = Answer;

    fn query(&mut self) -> Result<Cow<'_, dyn QueryParameter + 'static>, Infallible> {
        Ok(Cow::Owned(NormalizedParameter::new()))
    }

    fn urlbody(&mut self) -> Result<Cow<'_, dyn QueryParameter + 'static>, Infallible> {
        Ok(Cow::Owned(form_urlencoded::parse(self.body.as_bytes()).into_owned().collect()))
    }

    fn authheader(&mut self) -> Result<Option<Cow<'_, str>>, Infallible> {
        Ok(Some(Cow::Borrowed(self.authorization)))
    }
}

/// An answer, as a frontend would send it: a success, unless the flow says otherwise.
struct Answer {
    status: u16,
    body: String,
}

impl Default for Answer {
    fn default() -> Self {
        Self { status: 200, body: String::new() }
    }
}

impl Answer {
    fn refresh_token(&self) -> String {
        assert_eq!(self.status, 200, "{}", self.body);
        let answer: Value = serde_json::from_str(&self.body).unwrap();
        assert!(!text(&answer, "access_token").is_empty());
        text(&answer, "refresh_token").to_owned()
    }
}

impl WebResponse for Answer {
    type Error = Infallible;

    fn ok(&mut self) -> Result<(), Infallible> {
        self.status = 200;
        Ok(())
    }

    fn redirect(&mut self, _: Url) -> Result<(), Infallible> {
        self.status = 302;
        Ok(())
    }

    fn client_error(&mut self) -> Result<(), Infallible> {
        self.status = 400;
        Ok(())
    }

    fn unauthorized(&mut self, _: &str) -> Result<(), Infallible> {
        self.status = 401;
        Ok(())
    }

    fn body_text(&mut self, text: &str) -> Result<(), Infallible> {
        self.body = text.to_owned();
        Ok(())
    }

    fn body_json(&mut self, json: &str) -> Result<(), Infallible> {
        self.body_text(json)
    }
}

fn form(refresh_token: &str) -> String {
    let parameters = [("grant_type", "refresh_token"), ("refresh_token", refresh_token)];
    form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish()
}

const CLIENT: &str = "TENANT_CLIENT_ID";
const SECRET: &str = "TENANT_CLIENT_SECRET";
