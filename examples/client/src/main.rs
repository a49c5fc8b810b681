//! A client that binds its tokens to a key (DPoP, RFC 9449) and proves that it is who asked for the code (RFC 7636).
//!
//! ```console
//! $ cargo run -p otp-grant-host -- --demo                                 # in one terminal
//! $ cargo run -p otp-grant-example-client -- http://127.0.0.1:8080       # in another one
//! ```
//!
//! It logs in as the demo's user, refreshes, calls userinfo, and signs out. The code is typed in, or read from the file
//! that the demo's `--outbox` names, as a second argument.

mod key;

use std::error::Error;
use std::io::Write as _;

use serde_json::{Value, json};
use ureq::Agent;
use ureq::http::Response;
use uuid::Uuid;

use key::{Key, sha256};

type Failure = Box<dyn Error>;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let issuer = arguments.next().ok_or("usage: otp-grant-example-client ISSUER [OUTBOX]")?;
    let outbox = arguments.next();
    let mut client = Client::discover(&issuer)?;

    let asked = client.request_code()?;
    let code = read_code(outbox.as_deref())?;
    let tokens = client.redeem(&asked, &code)?;
    println!("logged in; the access token is a {} token", text(&tokens, "token_type")?);

    let tokens = client.refresh(text(&tokens, "refresh_token")?)?;
    println!("userinfo: {}", client.userinfo(text(&tokens, "access_token")?)?);
    client.revoke(text(&tokens, "refresh_token")?)?;
    println!("signed out");
    Ok(())
}

/// A public client, such as an app on a phone.
struct Client {
    http: Agent,
    metadata: Value,
    key: Key,
    /// The latest nonce of the server, where it gives some.
    nonce: Option<String>,
}

/// What the client keeps between the request for a code and its redemption.
struct Asked {
    otp_token: String,
    code_verifier: String,
}

impl Client {
    fn discover(issuer: &str) -> Result<Self, Failure> {
        let http: Agent = Agent::config_builder().http_status_as_error(false).build().into();
        let url = format!("{issuer}/.well-known/openid-configuration");
        let metadata = http.get(url).call()?.body_mut().read_json()?;
        Ok(Self { http, metadata, key: Key::generate()?, nonce: None })
    }

    /// Requests a code. Only the holder of the key and of the verifier can redeem it.
    fn request_code(&mut self) -> Result<Asked, Failure> {
        // Two random UUIDs are 64 hexadecimal digits, 244 of their bits random.
        let code_verifier = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        let body = json!({
            "client_id": CLIENT, "auth_source_id": AUTH_SOURCE, "email": EMAIL,
            "code_challenge": sha256(&code_verifier), "code_challenge_method": "S256",
        });
        let sent = self.post("otp_send_endpoint", &body)?;
        Ok(Asked { otp_token: text(&sent, "otp_token")?.to_owned(), code_verifier })
    }

    fn redeem(&mut self, asked: &Asked, code: &str) -> Result<Value, Failure> {
        let grants = self.metadata.get("grant_types_supported").and_then(Value::as_array).ok_or("no grant types")?;
        let by_email = grants.iter().find(|name| name.as_str().is_some_and(|name| name.ends_with("/otp/email")));
        let body = json!({
            "grant_type": by_email, "client_id": CLIENT, "auth_source_id": AUTH_SOURCE, "email": EMAIL,
            "otp_token": asked.otp_token, "otp": code, "code_verifier": asked.code_verifier, "scope": "openid email",
        });
        self.post("token_endpoint", &body)
    }

    fn refresh(&mut self, refresh_token: &str) -> Result<Value, Failure> {
        let body = json!({"grant_type": "refresh_token", "client_id": CLIENT, "refresh_token": refresh_token});
        self.post("token_endpoint", &body)
    }

    fn userinfo(&mut self, access_token: &str) -> Result<Value, Failure> {
        let url = text(&self.metadata, "userinfo_endpoint")?.to_owned();
        self.proving("GET", &url, Some(access_token), |http, proof| {
            let authorization = format!("DPoP {access_token}");
            http.get(&url).header("Authorization", authorization).header("DPoP", proof).call()
        })
    }

    /// Signs out. A revocation carries no proof.
    fn revoke(&self, refresh_token: &str) -> Result<(), Failure> {
        let url = text(&self.metadata, "revocation_endpoint")?;
        let reply = self.http.post(url).send_form([("client_id", CLIENT), ("token", refresh_token)])?;
        if reply.status().is_success() { Ok(()) } else { Err(format!("revocation: {}", reply.status()).into()) }
    }

    fn post(&mut self, endpoint: &str, body: &Value) -> Result<Value, Failure> {
        let url = text(&self.metadata, endpoint)?.to_owned();
        self.proving("POST", &url, None, |http, proof| http.post(&url).header("DPoP", proof).send_json(body))
    }

    /// Sends a request with a fresh proof, and sends it once more where the server asks for its nonce.
    fn proving(
        &mut self,
        method: &str,
        url: &str,
        access_token: Option<&str>,
        send: impl Fn(&Agent, String) -> Result<Response<ureq::Body>, ureq::Error>,
    ) -> Result<Value, Failure> {
        let mut repeated = false;
        loop {
            let proof = self.key.proof(method, url, access_token, self.nonce.as_deref())?;
            let mut reply = send(&self.http, proof)?;
            if let Some(nonce) = reply.headers().get("DPoP-Nonce") {
                self.nonce = Some(nonce.to_str()?.to_owned());
            }
            let answer: Value = reply.body_mut().read_json()?;
            match reply.status().is_success() {
                true => return Ok(answer),
                false if answer.get("error").is_some_and(|error| error == "use_dpop_nonce") && !repeated => {
                    repeated = true
                }
                false => return Err(format!("{method} {url}: {answer}").into()),
            }
        }
    }
}

/// The code that the user reads in the message, or the last one in the outbox.
fn read_code(outbox: Option<&str>) -> Result<String, Failure> {
    if let Some(file) = outbox {
        let outbox = std::fs::read_to_string(file)?;
        let message: Value = serde_json::from_str(outbox.lines().last().ok_or("no code was sent")?)?;
        return Ok(text(&message, "code")?.to_owned());
    }
    print!("the code that the server has printed: ");
    std::io::stdout().flush()?;
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    Ok(line.trim().to_owned())
}

fn text<'a>(object: &'a Value, member: &str) -> Result<&'a str, Failure> {
    object.get(member).and_then(Value::as_str).ok_or_else(|| format!("the server did not say {member}").into())
}

/// Of the demo.
const CLIENT: &str = "DPOP_CLIENT_ID";
const AUTH_SOURCE: &str = "MOCK_EMAIL_OTP_AUTH_SOURCE_ID";
const EMAIL: &str = "MOCK_USERNAME@example.com";
