//! The server of the demo. It prints each request and answer, and compares the answer with the expected one.

use std::error::Error;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use otp_grant::jwt::{
    AccessTokenError, AccessTokenProfile, AccessTokenVerifier, Algorithm, Audience, JwsError, PublicKeySet, jws,
};
use otp_grant::time::Clock;
use otp_grant::time::SystemClock;
use otp_grant::*;
use pollster::block_on;
use serde_json::{Value, json};

use crate::samples;

pub(crate) struct Demo {
    server: AuthorizationServer<MemoryStore, MemoryDirectory>,
}

/// What a user has after a send.
pub(crate) struct Sent {
    pub(crate) otp_token: String,
    pub(crate) code: String,
}

impl Demo {
    pub(crate) fn new() -> Result<Self, Box<dyn Error>> {
        let issuer = Issuer::new(samples::ISSUER)?;
        let keyring = Keyring::new(&MasterKey::generate()?, &MasterKey::generate()?);
        let silent = Client::public(ClientId::new("SILENT_SPA_CLIENT_ID")?);
        let server = AuthorizationServer::builder(issuer, keyring, SigningKey::generate(Algorithm::ES256)?)
            .settings(samples::sample_settings()?)
            .build(MemoryStore::new(), samples::sample_directory()?.with_client(silent))?;
        Ok(Self { server })
    }

    /// Sends a code, which the "phone" receives.
    pub(crate) fn send(&self, body: &Value) -> Result<Sent, Box<dyn Error>> {
        let bytes = print_json("/otp/send", body);
        let mut code = String::new();
        let deliver = async |delivery: Delivery| {
            if let Some(message) = delivery.message() {
                code = message.code().expose_secret().to_owned();
                println!("   {} received: {code}", message.address().as_str());
            }
            delivery.accepted()
        };
        let reply = block_on(self.server.handle(json_request("/otp/send", &bytes), deliver));
        let reply = expect(&reply.unwrap_or_else(Reply::not_found), 200, &json!({"code_length": 6}))?;
        Ok(Sent { otp_token: member(&reply, "otp_token")?.to_owned(), code })
    }

    pub(crate) fn refused_send(&self, body: &Value, expected: &Value) -> Result<(), Box<dyn Error>> {
        let bytes = print_json("/otp/send", body);
        let status = if expected.get("error") == Some(&json!("invalid_client")) { 401 } else { 400 };
        expect(&self.answer(json_request("/otp/send", &bytes)), status, expected).map(drop)
    }

    pub(crate) fn token(&self, body: &Value, status: u16, expected: &Value) -> Result<Value, Box<dyn Error>> {
        let bytes = print_json("/oauth2/token", body);
        expect(&self.answer(json_request("/oauth2/token", &bytes)), status, expected)
    }

    /// Redeems a refresh token, for the whole scope of its session or for less.
    pub(crate) fn refresh(
        &self,
        refresh_token: &str,
        scope: Option<&str>,
        status: u16,
        expected: &Value,
    ) -> Result<Value, Box<dyn Error>> {
        let grant = [("grant_type", "refresh_token"), ("refresh_token", refresh_token)];
        let scope = scope.map(|scope| ("scope", scope));
        let body = print_form("/oauth2/token", TENANT.into_iter().chain(grant).chain(scope));
        expect(&self.answer(form_request("/oauth2/token", &body)), status, expected)
    }

    /// Ends a token. The answer is the same for a token that does not exist: it is a success.
    pub(crate) fn revoke(&self, token: &str) -> Result<(), Box<dyn Error>> {
        let body = print_form("/oauth2/revoke", TENANT.into_iter().chain([("token", token)]));
        expect(&self.answer(form_request("/oauth2/revoke", &body)), 200, &json!({})).map(drop)
    }

    /// Introspects a token, as an API does when it is called with the token.
    pub(crate) fn introspect_active(&self, token: &str, expected: &Value) -> Result<(), Box<dyn Error>> {
        let answer = self.introspect(token)?;
        expect_members(&answer, &json!({"active": true}))?;
        expect_members(&answer, expected)
    }

    /// Introspects a token that is not good. The answer says nothing more about it.
    pub(crate) fn introspect_inactive(&self, token: &str) -> Result<(), Box<dyn Error>> {
        let answer = self.introspect(token)?;
        if answer == json!({"active": false}) { Ok(()) } else { Err(unexpected(200, &answer)) }
    }

    pub(crate) fn userinfo(&self, token: &str, status: u16, expected: &Value) -> Result<(), Box<dyn Error>> {
        let bearer = format!("Bearer {token}");
        println!("\nGET /userinfo\nAuthorization: {bearer}");
        let request = Request::new("GET", "/userinfo").header("Authorization", &bearer);
        expect(&self.answer(request), status, expected).map(drop)
    }

    /// Fetches the two documents by which clients find out about the server.
    pub(crate) fn discover(&self) -> Result<(), Box<dyn Error>> {
        let issuer = self.server.issuer();
        let expected =
            json!({"issuer": issuer.as_str(), "token_endpoint": format!("{}/oauth2/token", issuer.as_str())});
        expect(&self.get(&issuer.metadata_path()), 200, &expected)?;
        let document = expect(&self.get(&issuer.openid_configuration_path()), 200, &expected)?;
        expect_members(&document, &json!({"id_token_signing_alg_values_supported": ["ES256"]}))
    }

    /// Verifies the tokens with the published key set, as an API does.
    pub(crate) fn verify(&self, tokens: &Value) -> Result<(), Box<dyn Error>> {
        let published = self.get("/oauth2/jwks");
        expect(&published, 200, &json!({}))?;
        let keys = PublicKeySet::from_json(published.body())?;
        for name in ["access_token", "id_token"] {
            let token = member(tokens, name)?;
            let header = token.split('.').next().unwrap_or_default();
            let header: Value = serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(header)?)?;
            let verified = jws::verify(token, &keys)?;
            let claims: Value = serde_json::from_slice(verified.payload())?;
            println!("\n{name}: its signature is that of a published key\n   {header}\n{claims:#}");
            expect_members(
                &claims,
                &json!({"iss": samples::ISSUER, "aud": "TENANT_CLIENT_ID", "sub": "MOCK_USER_ID"}),
            )?;
        }
        let verifier = AccessTokenVerifier::new(Issuer::new(samples::ISSUER)?, keys, AccessTokenProfile::default());
        let access_token = member(tokens, "access_token")?;
        let claims = verifier.verify(access_token, Audience::EveryClient, SystemClock.now())?;
        println!("\naccess_token: accepted for {} with scope {}", claims.subject.as_str(), claims.scope.as_str());

        // Changes the first character of the signature: the last one has bits that mean nothing.
        let (signed, signature) = access_token.rsplit_once('.').ok_or("not a token")?;
        let first = if signature.starts_with('A') { 'B' } else { 'A' };
        let altered = format!("{signed}.{first}{}", signature.get(1..).unwrap_or_default());
        match verifier.verify(&altered, Audience::EveryClient, SystemClock.now()) {
            Err(AccessTokenError::Jws(JwsError::BadSignature)) => println!("access_token, altered: refused"),
            other => return Err(format!("the altered token was not refused for its signature: {other:?}").into()),
        }
        Ok(())
    }

    fn get(&self, path: &str) -> Reply {
        println!("\nGET {path}");
        self.answer(Request::new("GET", path))
    }

    /// The server's answer to a request that delivers no code.
    fn answer(&self, request: Request<'_>) -> Reply {
        let deliver = async |delivery: Delivery| delivery.failed(DeliveryFailure::AddressRefused);
        block_on(self.server.handle(request, deliver)).unwrap_or_else(Reply::not_found)
    }

    fn introspect(&self, token: &str) -> Result<Value, Box<dyn Error>> {
        let api = [("client_id", "API_CLIENT_ID"), ("client_secret", "API_CLIENT_SECRET")];
        let body = print_form("/oauth2/introspect", api.into_iter().chain([("token", token)]));
        expect(&self.answer(form_request("/oauth2/introspect", &body)), 200, &json!({}))
    }
}

pub(crate) fn title(text: &str) {
    println!("\n\n=== {text} ===");
}

pub(crate) fn grant_error(description: &str) -> Value {
    json!({"error": "invalid_grant", "error_description": description})
}

pub(crate) fn member<'a>(body: &'a Value, name: &str) -> Result<&'a str, Box<dyn Error>> {
    Ok(body.get(name).and_then(Value::as_str).ok_or_else(|| format!("no {name} in {body}"))?)
}

fn print_json(path: &str, body: &Value) -> String {
    println!("\nPOST {path}\n{body:#}");
    body.to_string()
}

fn print_form<'a>(path: &str, members: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(members).finish();
    println!("\nPOST {path}\n{body}");
    body
}

fn json_request<'a>(path: &'a str, body: &'a str) -> Request<'a> {
    Request::new("POST", path).header("Content-Type", "application/json").body(body)
}

fn form_request<'a>(path: &'a str, body: &'a str) -> Request<'a> {
    Request::new("POST", path).header("Content-Type", "application/x-www-form-urlencoded").body(body)
}

/// Prints a reply, and returns its body when it is the expected one.
fn expect(reply: &Reply, status: u16, expected: &Value) -> Result<Value, Box<dyn Error>> {
    let body = read(reply)?;
    match &body {
        Value::Null => println!("{}", reply.status()),
        body => println!("{} {body:#}", reply.status()),
    }
    if reply.status() != status {
        return Err(unexpected(reply.status(), &body));
    }
    expect_members(&body, expected)?;
    Ok(body)
}

fn expect_members(body: &Value, expected: &Value) -> Result<(), Box<dyn Error>> {
    for (name, value) in expected.as_object().into_iter().flatten() {
        if body.get(name) != Some(value) {
            return Err(format!("{name} should be {value} in {body}").into());
        }
    }
    Ok(())
}

fn unexpected(status: u16, body: &Value) -> Box<dyn Error> {
    format!("unexpected: {status} {body}").into()
}

/// The answer to a revocation has no body.
fn read(reply: &Reply) -> Result<Value, serde_json::Error> {
    if reply.body().is_empty() { Ok(Value::Null) } else { serde_json::from_slice(reply.body()) }
}

const TENANT: [(&str, &str); 2] = [("client_id", "TENANT_CLIENT_ID"), ("client_secret", "TENANT_CLIENT_SECRET")];
