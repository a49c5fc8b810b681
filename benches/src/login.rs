//! The OTP grant as work.

use std::hint::black_box;
use std::sync::Arc;

use otp_grant::Reply;
use otp_grant_tests::but;
use serde_json::{Value, json};

use crate::{Host, Server, Work, grant, granted};

/// The OTP grant, with a new code per round.
pub struct Grant {
    pub host: Host,
    scope: Value,
    signing_inputs: Vec<String>,
}

impl Grant {
    pub fn new(key: (&'static str, &'static str)) -> Self {
        Self::with_scope(key, Value::Null)
    }

    /// A grant of a scope. For `null` it is the client's default.
    pub fn with_scope(key: (&'static str, &'static str), scope: Value) -> Self {
        Self::at(Host::new(key), scope)
    }

    /// The same at another host.
    pub fn at(host: Host, scope: Value) -> Self {
        let mut grant = Self { host, scope, signing_inputs: Vec::new() };
        let answer = grant.log_in();
        let tokens = ["access_token", "id_token"].iter().filter_map(|name| answer[name].as_str());
        grant.signing_inputs = tokens.map(|token| token.rsplit_once('.').unwrap().0.to_owned()).collect();
        grant
    }

    /// The answer to one more login.
    pub fn log_in(&mut self) -> Value {
        let round = self.prepare();
        granted(&self.work(&round))
    }

    /// Signs the signing inputs of one answer with bare `ring`.
    pub fn sign(&self) -> Vec<Vec<u8>> {
        self.signing_inputs.iter().map(|input| self.host.bare.sign(black_box(input.as_bytes()))).collect()
    }
}

impl Work for Grant {
    type Round = (Arc<Server>, String);

    fn prepare(&mut self) -> Self::Round {
        let (server, body) = self.host.send();
        (server, but(&body, json!({ "scope": self.scope })).to_string())
    }

    fn floor(&self, _: &Self::Round) {
        black_box(self.sign());
    }

    fn work(&self, (server, body): &Self::Round) -> Reply {
        grant(server, body)
    }

    fn settle(&mut self, _: Self::Round, reply: &Reply) {
        granted(reply);
    }
}
