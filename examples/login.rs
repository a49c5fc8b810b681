//! A login in one process, and one example of each error: `cargo run --example login`
//!
//! Prints what goes over the wire, and ends with an error at the first answer that is not the expected one.

mod support;

use std::error::Error;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use otp_grant::*;
use serde_json::{Value, json};

fn main() -> Result<(), Box<dyn Error>> {
    let issuer = Issuer::new(support::ISSUER)?;
    let keyring = Keyring::new(&MasterKey::generate()?, &MasterKey::generate()?);
    let silent = Client::public(ClientId::new("SILENT_SPA_CLIENT_ID")?);
    let server = AuthorizationServer::builder(issuer, keyring, SigningKey::generate(Algorithm::ES256)?)
        .build(MemoryStore::new(), support::sample_directory()?.with_client(silent))?;
    let demo = Demo { server };

    let sms = json!({
        "client_id": "TENANT_CLIENT_ID",
        "client_secret": "TENANT_CLIENT_SECRET",
        "auth_source_id": "MOCK_SMS_OTP_AUTH_SOURCE_ID",
        "phone_number": "13612345678",
    });
    title("A login over SMS");
    let sent = demo.send(&sms)?;
    let tokens = demo.token(&redeem(SMS_GRANT_TYPE, &sms, &sent), 200, &json!({"token_type": "Bearer"}))?;
    demo.verify(&tokens)?;

    title("A send that is refused");
    demo.refused_send(&but(&sms, json!({"phone_number": "call me"})), &json!({"error": "malformed_phone_number"}))?;
    demo.refused_send(&sms, &json!({"error": "sms_rate_limit_exceeded"}))?;
    demo.refused_send(&but(&sms, json!({"client_secret": "WRONG"})), &json!({"error": "invalid_client"}))?;
    let silent = but(&sms, json!({"client_id": "SILENT_SPA_CLIENT_ID", "client_secret": null}));
    demo.refused_send(&silent, &json!({"error": "unauthorized_client"}))?;
    let other = json!({"client_id": "OTHER_CLIENT_ID", "client_secret": "OTHER_CLIENT_SECRET"});
    demo.refused_send(&but(&sms, other), &json!({"error": "invalid_auth_source"}))?;

    title("A login over e-mail, after everything that can be wrong with it");
    let email = json!({
        "client_id": "TENANT_CLIENT_ID",
        "client_secret": "TENANT_CLIENT_SECRET",
        "auth_source_id": "MOCK_EMAIL_OTP_AUTH_SOURCE_ID",
        "email": "MOCK_USERNAME@example.com",
    });
    let sent = demo.send(&email)?;
    let right = redeem(EMAIL_GRANT_TYPE, &email, &sent);
    demo.token(&but(&right, json!({"grant_type": "password"})), 400, &json!({"error": "unsupported_grant_type"}))?;
    let altered = json!({"otp_token": other_last(&sent.otp_token)});
    demo.token(&but(&right, altered), 400, &grant_error("Unknown or expired otp_token"))?;
    let mismatched = json!({
        "error": "invalid_request",
        "error_description": "Mismatched OTP token and OTP sending parameters",
    });
    demo.token(&but(&right, json!({"email": "somebody.else@example.com"})), 400, &mismatched)?;
    demo.token(&but(&right, json!({"scope": "openid admin"})), 400, &json!({"error": "invalid_scope"}))?;
    let remaining = but(&grant_error("Unknown or expired OTP"), json!({"attempts_remaining": 4}));
    demo.token(&but(&right, json!({"otp": other_last(&sent.code)})), 400, &remaining)?;
    let tokens = demo.token(&right, 200, &json!({"scope": "openid"}))?;
    demo.verify(&tokens)?;
    demo.token(&right, 400, &grant_error("Unknown or expired otp_token"))?;

    title("A user who is not there yet, and then is");
    let nobody = but(&sms, json!({"phone_number": "+12025550123"}));
    let sent = demo.send(&nobody)?;
    let right = redeem(SMS_GRANT_TYPE, &nobody, &sent);
    demo.token(&right, 400, &grant_error("User not found"))?;
    demo.token(&but(&right, json!({"auto_signup": true})), 200, &json!({"scope": "openid"}))?;

    title("A user who is locked");
    let locked = but(&sms, json!({"phone_number": "13600000000"}));
    let sent = demo.send(&locked)?;
    demo.token(&redeem(SMS_GRANT_TYPE, &locked, &sent), 400, &grant_error("Abnormal user status"))?;

    println!("\nEverything was answered as expected.");
    Ok(())
}

struct Demo {
    server: AuthorizationServer<MemoryStore, MemoryDirectory>,
}

/// What a user has in hand after a send.
struct Sent {
    otp_token: String,
    code: String,
}

impl Demo {
    /// Sends a code, which the "phone" receives.
    fn send(&self, body: &Value) -> Result<Sent, Box<dyn Error>> {
        let bytes = request("/otp/send", body);
        let delivery = match pollster::block_on(self.server.send_otp(json_request(&bytes))) {
            Ok(delivery) => delivery,
            Err(refusal) => return Err(unexpected(refusal.status(), &read(&refusal)?)),
        };
        let code = delivery.code().expose_secret().to_owned();
        println!("   {} received: {code}", delivery.address().as_str());
        let reply = expect(&delivery.accepted(), 200, &json!({"code_length": 6}))?;
        Ok(Sent { otp_token: member(&reply, "otp_token")?.to_owned(), code })
    }

    fn refused_send(&self, body: &Value, expected: &Value) -> Result<(), Box<dyn Error>> {
        let bytes = request("/otp/send", body);
        let status = if expected.get("error") == Some(&json!("invalid_client")) { 401 } else { 400 };
        match pollster::block_on(self.server.send_otp(json_request(&bytes))) {
            Ok(_) => Err("a code was sent, where the request should have been refused".into()),
            Err(refusal) => expect(&refusal, status, expected).map(drop),
        }
    }

    fn token(&self, body: &Value, status: u16, expected: &Value) -> Result<Value, Box<dyn Error>> {
        let bytes = request("/oauth2/token", body);
        expect(&pollster::block_on(self.server.token(json_request(&bytes))), status, expected)
    }

    /// Does what an API would: verifies the tokens with the key set that is published.
    fn verify(&self, tokens: &Value) -> Result<(), Box<dyn Error>> {
        println!("\nGET /oauth2/jwks");
        let published = self.server.jwks();
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
                &json!({"iss": support::ISSUER, "aud": "TENANT_CLIENT_ID", "sub": "MOCK_USER_ID"}),
            )?;
        }
        let verifier = AccessTokenVerifier::new(Issuer::new(support::ISSUER)?, keys, AccessTokenProfile::default());
        let access_token = member(tokens, "access_token")?;
        let claims = verifier.verify(access_token, Audience::EveryClient, SystemClock.now())?;
        println!("\naccess_token: accepted for {} with scope {}", claims.subject.as_str(), claims.scope.as_str());

        // The first character of the signature: the last one has bits that mean nothing.
        let (signed, signature) = access_token.rsplit_once('.').ok_or("not a token")?;
        let first = if signature.starts_with('A') { 'B' } else { 'A' };
        let altered = format!("{signed}.{first}{}", signature.get(1..).unwrap_or_default());
        match verifier.verify(&altered, Audience::EveryClient, SystemClock.now()) {
            Err(AccessTokenError::Jws(JwsError::BadSignature)) => println!("access_token, altered: refused"),
            other => return Err(format!("the altered token was not refused for its signature: {other:?}").into()),
        }
        Ok(())
    }
}

fn title(text: &str) {
    println!("\n\n=== {text} ===");
}

fn request(path: &str, body: &Value) -> String {
    println!("\nPOST {path}\n{body:#}");
    body.to_string()
}

fn json_request(body: &str) -> Request<'_> {
    Request { content_type: Some("application/json"), authorization: None, body: body.as_bytes() }
}

/// The token request for a code, with the same client, source and address as the send.
fn redeem(grant_type: &str, send: &Value, sent: &Sent) -> Value {
    but(send, json!({"grant_type": grant_type, "otp_token": sent.otp_token, "otp": sent.code}))
}

/// The same members with some replaced; `null` removes one.
fn but(body: &Value, changes: Value) -> Value {
    let mut members = body.as_object().cloned().unwrap_or_default();
    for (name, value) in changes.as_object().into_iter().flatten() {
        match value {
            Value::Null => members.remove(name),
            value => members.insert(name.clone(), value.clone()),
        };
    }
    Value::Object(members)
}

/// The same text with another last character.
fn other_last(text: &str) -> String {
    let mut other = text.to_owned();
    let last = other.pop();
    other.push(if last == Some('1') { '2' } else { '1' });
    other
}

fn grant_error(description: &str) -> Value {
    json!({"error": "invalid_grant", "error_description": description})
}

/// Prints a reply, and returns its body when it is the expected one.
fn expect(reply: &Reply, status: u16, expected: &Value) -> Result<Value, Box<dyn Error>> {
    let body = read(reply)?;
    println!("{} {body:#}", reply.status());
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

fn read(reply: &Reply) -> Result<Value, serde_json::Error> {
    serde_json::from_slice(reply.body())
}

fn member<'a>(body: &'a Value, name: &str) -> Result<&'a str, Box<dyn Error>> {
    Ok(body.get(name).and_then(Value::as_str).ok_or_else(|| format!("no {name} in {body}"))?)
}
