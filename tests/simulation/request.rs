//! What is asked of the server, and what it answers.

use std::sync::Arc;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use otp_grant::guard::Verdict;
use otp_grant::id::SessionId;
use otp_grant::jwt::jws;
use otp_grant::secret::{CodeChallenge, PresentedSecret};
use otp_grant::server::{VerifyError, VerifyRequest};
use otp_grant::{Address, ClientId, Reply, Request, Usage};
use otp_grant_tests::{
    CLIENT, CLIENT_SECRET, Calls as _, DPOP_CLIENT, Post, Posts as _, SMS_SOURCE, but, form, form_request, payload,
    read, text, wrong,
};
use serde_json::{Value, json};

use crate::proof::{Assertion, Proof, client_and_key};
use crate::server::Server;
use crate::world::OTHER;

/// One request.
#[derive(Clone, Debug)]
pub enum Ask {
    Send {
        phone: &'static str,
        purpose: Purpose,
        client: &'static str,
        with: With,
    },
    Guess {
        challenge: Arc<Challenge>,
        right: bool,
        signs_up: bool,
    },
    /// A thief presents a stolen otp_token and its right code, with another verifier or none.
    Steal(Arc<Challenge>),
    /// A thief refreshes with a stolen token that is bound to a key, with another key or none.
    StealSession(Arc<RefreshToken>),
    /// A thief uses a stolen access token that is bound to a key, with another key or as a bearer token.
    StealAccess(Arc<AccessToken>),
    /// A client authenticates by an assertion, or a thief does.
    Assert(Arc<Assertion>),
    Refresh(Arc<RefreshToken>),
    RevokeSession(Arc<RefreshToken>),
    /// The host ends the session that a token belongs to.
    EndSession(Arc<RefreshToken>),
    /// The host ends all sessions of a user by `tokens_valid_after`, which is now, by a directory that may keep whole
    /// seconds.
    SignOutEverywhere {
        phone: &'static str,
        in_whole_seconds: bool,
    },
    RevokeAccess(Arc<AccessToken>),
    IntrospectRefresh(Arc<RefreshToken>),
    IntrospectAccess(Arc<AccessToken>),
    Userinfo(Arc<AccessToken>),
    /// The host's support staff clears what an address has used up.
    Unlock {
        phone: &'static str,
    },
    /// The host's support staff makes an address forget its devices.
    ForgetDevices {
        phone: &'static str,
    },
    /// The host's support staff asks what an address has left.
    Explain {
        phone: &'static str,
    },
}

impl Ask {
    /// The phone that it is about, if it names one.
    pub fn phone(&self) -> Option<&'static str> {
        match self {
            Self::Send { phone, .. }
            | Self::SignOutEverywhere { phone, .. }
            | Self::Unlock { phone }
            | Self::ForgetDevices { phone }
            | Self::Explain { phone } => Some(phone),
            Self::Guess { challenge, .. } | Self::Steal(challenge) => Some(challenge.phone),
            _ => None,
        }
    }

    /// The device whose token comes with it, if the token was made for this address and this client and was not
    /// altered. Any other token counts as none.
    pub fn device(&self) -> Option<&Device> {
        let (device, client) = match self {
            Self::Send { with, client, .. } => (with.device.as_deref()?, *client),
            Self::Guess { challenge, .. } => (challenge.device.as_deref()?, challenge.client),
            _ => return None,
        };
        let is_own = Some(device.phone) == self.phone() && device.client == client && !device.is_altered;
        is_own.then_some(device)
    }

    /// The session that it is about, if it names one.
    pub fn session(&self) -> Option<&str> {
        match self {
            Self::Refresh(token) | Self::RevokeSession(token) | Self::EndSession(token) => Some(&token.session),
            Self::IntrospectRefresh(token) => Some(&token.session),
            Self::RevokeAccess(token) | Self::IntrospectAccess(token) | Self::Userinfo(token) => Some(&token.session),
            _ => None,
        }
    }

    /// The proof of a key that comes with it.
    pub fn proof(&self) -> Option<&Proof> {
        match self {
            Self::Guess { challenge, .. } | Self::Steal(challenge) => challenge.proof.as_deref(),
            Self::Refresh(token) | Self::StealSession(token) => token.proof.as_deref(),
            Self::Userinfo(token) | Self::StealAccess(token) => token.proof.as_deref(),
            _ => None,
        }
    }

    /// What may be said in a message: no token.
    pub fn name(&self) -> String {
        match self {
            Self::Send { phone, purpose, client, with } => {
                format!("send to {phone} for {purpose:?} by {client}{with}")
            }
            Self::Guess { challenge, right, .. } => {
                format!(
                    "guess for {:?} at {} of {}, right: {right}{}",
                    challenge.purpose,
                    &challenge.id[..6],
                    challenge.phone,
                    name_of(challenge.device.as_ref())
                )
            }
            Self::Steal(challenge) => format!("theft of {} of {}", &challenge.id[..6], challenge.phone),
            Self::StealSession(token) => format!("theft of {token}"),
            Self::StealAccess(token) => format!("theft of {token}"),
            Self::Assert(assertion) => format!("assertion {}, genuine: {}", assertion.id, assertion.is_genuine),
            Self::Refresh(token) => format!("refresh with {token}"),
            Self::RevokeSession(token) => format!("revoke {token}"),
            Self::EndSession(token) => format!("the host ends the session of {token}"),
            Self::SignOutEverywhere { phone, .. } => format!("{phone} signs out everywhere"),
            Self::IntrospectRefresh(token) => format!("introspect {token}"),
            Self::RevokeAccess(token) => format!("revoke {token}"),
            Self::IntrospectAccess(token) => format!("introspect {token}"),
            Self::Userinfo(token) => format!("userinfo with {token}"),
            Self::Unlock { phone } => format!("the host unlocks {phone}"),
            Self::ForgetDevices { phone } => format!("the host forgets the devices of {phone}"),
            Self::Explain { phone } => format!("the host asks about {phone}"),
        }
    }
}

impl std::fmt::Display for RefreshToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "generation {} of session {}", self.generation, &self.session[..6])
    }
}

impl std::fmt::Display for AccessToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "access token {} of session {}", &self.id[..12], &self.session[..6])
    }
}

/// What comes with a send.
#[derive(Clone, Debug, Default)]
pub struct With {
    pub device: Option<Arc<Device>>,
    /// What the host knows of the request.
    pub verdict: Verdict,
}

impl std::fmt::Display for With {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&name_of(self.device.as_ref()))?;
        if self.verdict == Verdict::None { Ok(()) } else { write!(f, ", verdict {:?}", self.verdict) }
    }
}

/// A device token.
#[derive(Clone, Debug)]
pub struct Device {
    pub text: String,
    /// The device that the token names.
    pub id: String,
    /// The address and the client that the token was made for.
    pub phone: &'static str,
    pub client: &'static str,
    /// In milliseconds, by the clock of the host that made it.
    pub issued_at: u64,
    /// Whether a thief has altered it.
    pub is_altered: bool,
}

impl Device {
    fn of(body: &Value, challenge: &Challenge) -> Option<Arc<Self>> {
        let text = body["device_token"].as_str()?.to_owned();
        let bytes = base64url(&text);
        let id = BASE64_URL_SAFE_NO_PAD.encode(&bytes[HEAD..HEAD + 8]);
        let issued_at = u64::from_be_bytes(bytes[HEAD + 8..HEAD + 16].try_into().unwrap());
        let Challenge { phone, client, .. } = *challenge;
        Some(Arc::new(Self { text, id, phone, client, issued_at, is_altered: false }))
    }

    /// Returns the token with another first character of the name of its device.
    pub fn altered(&self) -> Arc<Self> {
        let mut bytes = base64url(&self.text);
        bytes[HEAD] ^= 1;
        Arc::new(Self { text: BASE64_URL_SAFE_NO_PAD.encode(bytes), is_altered: true, ..self.clone() })
    }
}

fn name_of(device: Option<&Arc<Device>>) -> String {
    device.map(|device| format!(", with device {}", &device.id[..4])).unwrap_or_default()
}

/// What a code is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Login,
    Signup,
}

/// A challenge that was sent.
#[derive(Clone, Debug)]
pub struct Challenge {
    pub phone: &'static str,
    pub purpose: Purpose,
    pub client: &'static str,
    pub otp_token: String,
    pub code: String,
    pub id: String,
    pub expires_at: u64,
    /// The verifier of the code challenge that was sent.
    pub verifier: Option<&'static str>,
    /// The proof that is presented with the code.
    pub proof: Option<Arc<Proof>>,
    /// The device token that is presented with the code.
    pub device: Option<Arc<Device>>,
    /// Whether the client asks to remember the device.
    pub remembers: bool,
    /// Whether no message came with it: the address is a test identity, whose code is fixed.
    pub is_test: bool,
}

impl Challenge {
    /// Returns the challenge as a thief has it, who knows the otp_token and the code and not the verifier.
    pub fn stolen(&self, verifier: Option<&'static str>) -> Self {
        Self { verifier, ..self.clone() }
    }

    /// Returns the challenge as it is redeemed with a device token, or without one.
    pub fn on(&self, device: Option<&Arc<Device>>) -> Arc<Self> {
        Arc::new(Self { device: device.cloned(), ..self.clone() })
    }

    /// Returns the challenge as it is redeemed by a client that asks to remember the device.
    pub fn remembering(&self) -> Arc<Self> {
        Arc::new(Self { remembers: true, ..self.clone() })
    }

    /// Returns the challenge as it is redeemed with a proof, or without one.
    pub fn with(&self, proof: Option<&Arc<Proof>>) -> Arc<Self> {
        Arc::new(Self { proof: proof.cloned(), ..self.clone() })
    }
}

#[derive(Clone, Debug)]
pub struct RefreshToken {
    pub text: String,
    pub session: String,
    pub generation: u32,
    pub expires_at: u64,
    pub is_bound: bool,
    /// The proof that is presented with the token.
    pub proof: Option<Arc<Proof>>,
}

impl RefreshToken {
    /// Returns the token as it is presented with a proof, or without one.
    pub fn with(&self, proof: Option<&Arc<Proof>>) -> Arc<Self> {
        Arc::new(Self { proof: proof.cloned(), ..self.clone() })
    }
}

#[derive(Clone, Debug)]
pub struct AccessToken {
    pub text: String,
    pub session: String,
    pub id: String,
    pub expires_at: u64,
    /// The proof that is presented with the token.
    pub proof: Option<Arc<Proof>>,
}

impl AccessToken {
    /// Returns the token as it is presented with a proof, or as a bearer token.
    pub fn with(&self, proof: Option<&Arc<Proof>>) -> Arc<Self> {
        Arc::new(Self { proof: proof.cloned(), ..self.clone() })
    }
}

#[derive(Clone, Debug)]
pub struct Tokens {
    pub refresh: Arc<RefreshToken>,
    pub access: Arc<AccessToken>,
    pub id: Option<Arc<str>>,
    pub device: Option<Arc<Device>>,
    /// Whether the access token says that it is that of a test identity, and the ID token, if there is one.
    pub says_test: Vec<bool>,
}

/// What the host's support staff learns of an address.
#[derive(Clone, Debug)]
pub struct Explained {
    /// The guesses of everybody who has no device token.
    pub guesses_left: usize,
    /// The guesses of each device.
    pub devices: Vec<usize>,
}

/// What came back.
#[derive(Clone, Debug)]
pub enum Answer {
    Sent(Arc<Challenge>),
    /// The client must pass a challenge.
    Challenged,
    Throttled {
        /// In seconds.
        retry_after: u64,
    },
    LoggedIn(Tokens),
    Verified,
    WrongCode {
        attempts_remaining: Option<u64>,
    },
    /// `Unknown or expired otp_token`.
    UnknownOtpToken,
    NoUser,
    NotActive,
    Refreshed(Tokens),
    /// The refresh or access token is not good.
    Refused,
    /// The proof of the key is missing, not good, or was used before.
    BadProof,
    /// The client has authenticated by its assertion.
    Authenticated,
    /// The assertion is not good, or was used before.
    NotAuthenticated,
    /// A revocation was done.
    Done,
    Active,
    Inactive,
    Claims,
    /// What the host's support staff learns of an address.
    Explained(Explained),
    Unavailable,
    Unexpected(u16, Value),
}

impl Answer {
    /// Whether it gives what only a good token gets.
    pub fn is_positive(&self) -> bool {
        matches!(self, Self::Refreshed(_) | Self::Active | Self::Claims)
    }

    /// Whether it is what a thief gets for a code without its verifier or its key.
    pub fn is_nothing_of_a_code(&self) -> bool {
        matches!(self, Self::UnknownOtpToken | Self::BadProof | Self::Unavailable)
    }

    /// What may be said in a message: no token.
    pub fn name(&self) -> String {
        match self {
            Self::Unexpected(status, body) => format!("{status} {body}"),
            other => format!("{other:?}").split(['(', ' ']).next().unwrap_or_default().to_owned(),
        }
    }
}

/// Asks, and reads the answer. `now` is the time of the caller in milliseconds.
pub async fn answer(server: &Server, ask: &Ask, scope: &str, now: u64) -> Answer {
    match ask {
        Ask::Send { phone, purpose, client, with } => send(server, phone, *purpose, client, with, now).await,
        Ask::Guess { challenge, right, signs_up } => {
            let code = if *right { challenge.code.clone() } else { wrong(&challenge.code) };
            match challenge.purpose {
                Purpose::Login => {
                    let mut wanted = json!({ "auto_signup": signs_up, "scope": scope });
                    if challenge.remembers {
                        wanted["remember_device"] = true.into();
                    }
                    log_in(server, challenge, &code, wanted).await
                }
                Purpose::Signup => verify(server, challenge, &code).await,
            }
        }
        Ask::Steal(challenge) => match challenge.purpose {
            Purpose::Login => log_in(server, challenge, &challenge.code, json!({ "scope": scope })).await,
            Purpose::Signup => verify(server, challenge, &challenge.code).await,
        },
        Ask::Assert(assertion) => {
            let client = [("client_id", ""), ("client_secret", "")];
            let members = [("token", "A"), ("client_assertion", &assertion.text), ("client_assertion_type", ASSERTION)];
            match read(&server.post_introspect(form_request(&form(&members, &client), None)).await) {
                (200, _) => Answer::Authenticated,
                (401, _) => Answer::NotAuthenticated,
                other => other_answer(other),
            }
        }
        Ask::Refresh(token) | Ask::StealSession(token) => {
            let members = [("grant_type", "refresh_token"), ("refresh_token", &token.text)];
            let body = form(&members, client_of(token.is_bound));
            match post_token(server, "application/x-www-form-urlencoded", &body, token.proof.as_deref()).await {
                (400, body) if body["error"] == "invalid_dpop_proof" => Answer::BadProof,
                (200, body) => Answer::Refreshed(Tokens::of(&body)),
                (400, body) if body["error_description"] == "Abnormal user status" => Answer::NotActive,
                (400, body) if body["error"] == "invalid_grant" => Answer::Refused,
                other => other_answer(other),
            }
        }
        Ask::RevokeSession(token) => revoke(server, &token.text, client_of(token.is_bound)).await,
        Ask::EndSession(token) => {
            let session = SessionId::try_from(token.session.clone()).unwrap();
            done(server.call_revoke_session(&session).await)
        }
        Ask::SignOutEverywhere { .. } => unreachable!("the directory is told, and not the server"),
        Ask::Unlock { phone } => done(server.call_unlock(&address_of(server, phone)).await),
        Ask::ForgetDevices { phone } => done(server.call_forget_devices(&address_of(server, phone)).await),
        Ask::Explain { phone } => match server.call_explain(&address_of(server, phone)).await {
            Ok(state) => Answer::Explained(Explained {
                guesses_left: state.guesses.left.unwrap_or(usize::MAX),
                devices: state.devices.iter().map(|device| device.guesses.left.unwrap_or(usize::MAX)).collect(),
            }),
            Err(_) => Answer::Unavailable,
        },
        Ask::RevokeAccess(token) => revoke(server, &token.text, &[]).await,
        Ask::IntrospectRefresh(token) => introspect(server, &token.text).await,
        Ask::IntrospectAccess(token) => introspect(server, &token.text).await,
        Ask::Userinfo(token) | Ask::StealAccess(token) => {
            let reply = match &token.proof {
                Some(proof) => {
                    let authorization = format!("DPoP {}", token.text);
                    let headers = [("authorization", authorization.as_bytes()), ("dpop", proof.text.as_bytes())];
                    let request = Request::new("GET", "/userinfo").headers(headers);
                    server.serve(request, async |delivery| delivery.accepted()).await.unwrap()
                }
                None => {
                    let authorization = format!("Bearer {}", token.text);
                    let request = Post { content_type: None, authorization: Some(&authorization), body: b"" };
                    server.post_userinfo(request).await
                }
            };
            match read(&reply) {
                (200, _) => Answer::Claims,
                (401, body) if body["error"] == "invalid_dpop_proof" => Answer::BadProof,
                (401, _) => Answer::Refused,
                other => other_answer(other),
            }
        }
    }
}

/// The client of a bound token is public, and is another client than that of the other tokens.
fn client_of(is_bound: bool) -> &'static [(&'static str, &'static str)] {
    if is_bound { &[("client_id", DPOP_CLIENT), ("client_secret", "")] } else { &[] }
}

async fn post_token(server: &Server, content_type: &str, body: &str, proof: Option<&Proof>) -> (u16, Value) {
    let proof = proof.map(|proof| ("dpop", proof.text.as_bytes()));
    let headers = [("content-type", content_type.as_bytes())].into_iter().chain(proof);
    let request = Request::new("POST", "/oauth2/token").headers(headers).body(body);
    read(&server.serve(request, async |delivery| delivery.accepted()).await.unwrap())
}

fn done<E>(result: Result<(), E>) -> Answer {
    result.map_or(Answer::Unavailable, |()| Answer::Done)
}

fn address_of(server: &Server, phone: &str) -> Address {
    Address::Phone(server.engine().addresses().phone_number(phone).unwrap())
}

async fn send(
    server: &Server,
    phone: &'static str,
    purpose: Purpose,
    client: &'static str,
    with: &With,
    now: u64,
) -> Answer {
    let (client_id, key) = client_and_key(client);
    let mut body = json!({ "client_id": client_id, "phone_number": phone });
    match purpose {
        Purpose::Login => body["auth_source_id"] = SMS_SOURCE.into(),
        Purpose::Signup => body["usage"] = "signup".into(),
    }
    if client == CLIENT {
        body["client_secret"] = CLIENT_SECRET.into();
    }
    let verifier = (phone == OTHER && client == CLIENT).then_some(VERIFIER);
    if let Some(verifier) = verifier {
        body["code_challenge"] = CodeChallenge::of_verifier(verifier).unwrap().to_string().into();
        body["code_challenge_method"] = "S256".into();
    }
    if let Some(device) = &with.device {
        body["device_token"] = device.text.as_str().into();
    }
    // A send does not use its proof up.
    let proof = key.map(|key| Proof::for_request(key, "send", now, ("POST", "/otp/send"), None));
    let proof = proof.as_ref().map(|proof| ("dpop", proof.text.as_bytes()));
    let headers = [("content-type", "application/json".as_bytes())].into_iter().chain(proof);
    let (body, mut sent) = (body.to_string(), None);
    let request = Request::new("POST", "/otp/send").headers(headers).body(&body).with_verdict(with.verdict);
    let deliver = |delivery| {
        sent = Some(delivery);
        std::future::ready(Reply::not_found())
    };
    let reply = server.serve(request, deliver).await.unwrap();
    let delivery = match sent.ok_or(reply).map_err(|reply: Reply| (retry_after(&reply), read(&reply))) {
        Ok(delivery) => delivery,
        Err((Some(retry_after), (400, body))) if body["error"] == "sms_rate_limit_exceeded" => {
            return Answer::Throttled { retry_after };
        }
        Err((_, (400, body))) if body["error"] == "challenge_required" => return Answer::Challenged,
        Err((_, other)) => return other_answer(other),
    };
    // Nothing is delivered for a test identity.
    let code = delivery.message().map(|message| message.code().expose_secret().to_owned());
    let is_test = code.is_none();
    let code = code.unwrap_or_else(|| FIXED_CODE.to_owned());
    let (_, reply) = read(&delivery.accepted());
    let otp_token = text(&reply, "otp_token").to_owned();
    let bytes = base64url(&otp_token);
    let id = BASE64_URL_SAFE_NO_PAD.encode(&bytes[HEAD..HEAD + 32]);
    let expires_at = u64::from_be_bytes(bytes[HEAD + 32..HEAD + 40].try_into().unwrap());
    let (proof, device, remembers) = (None, with.device.clone(), false);
    Answer::Sent(Arc::new(Challenge {
        phone,
        purpose,
        client,
        otp_token,
        code,
        id,
        expires_at,
        verifier,
        proof,
        device,
        remembers,
        is_test,
    }))
}

/// What the reply says in its `Retry-After`.
fn retry_after(reply: &Reply) -> Option<u64> {
    reply.headers().find(|(name, _)| *name == "Retry-After").map(|(_, value)| value.parse().unwrap())
}

async fn log_in(server: &Server, challenge: &Challenge, code: &str, wanted: Value) -> Answer {
    let body = json!({
        "grant_type": otp_grant::settings::SMS_GRANT_TYPE, "client_id": client_and_key(challenge.client).0, "auth_source_id": SMS_SOURCE,
        "phone_number": challenge.phone, "otp_token": challenge.otp_token, "otp": code,
        "code_verifier": challenge.verifier,
    });
    let mut body = but(&body, wanted);
    if let Some(device) = &challenge.device {
        body["device_token"] = device.text.as_str().into();
    }
    if challenge.client == CLIENT {
        body["client_secret"] = CLIENT_SECRET.into();
    }
    match post_token(server, "application/json", &body.to_string(), challenge.proof.as_deref()).await {
        (200, body) => {
            let device = Device::of(&body, challenge);
            Answer::LoggedIn(Tokens { device, ..Tokens::of(&body) })
        }
        (400, body) if body["error"] == "invalid_dpop_proof" => Answer::BadProof,
        (400, body) => match body["error_description"].as_str().unwrap_or_default() {
            "Unknown or expired OTP" => Answer::WrongCode { attempts_remaining: body["attempts_remaining"].as_u64() },
            "Unknown or expired otp_token" => Answer::UnknownOtpToken,
            "User not found" => Answer::NoUser,
            "Abnormal user status" => Answer::NotActive,
            _ => Answer::Unexpected(400, body),
        },
        other => other_answer(other),
    }
}

async fn verify(server: &Server, challenge: &Challenge, code: &str) -> Answer {
    let client = ClientId::new(challenge.client).unwrap();
    let address = Address::Phone(server.engine().addresses().phone_number(challenge.phone).unwrap());
    let (otp_token, otp) = (PresentedSecret::new(challenge.otp_token.as_str()), PresentedSecret::new(code));
    let mut request = VerifyRequest::new(&client, Usage::Signup, address, otp_token, otp);
    if let Some(verifier) = challenge.verifier {
        request = request.with_code_verifier(PresentedSecret::new(verifier));
    }
    if let Some(device) = &challenge.device {
        request = request.with_device_token(PresentedSecret::new(device.text.as_str()));
    }
    match server.call_verify(request).await {
        Ok(_) => Answer::Verified,
        Err(VerifyError::UnknownOtp { .. }) => Answer::WrongCode { attempts_remaining: None },
        Err(VerifyError::UnknownOtpToken) => Answer::UnknownOtpToken,
        Err(VerifyError::TemporarilyUnavailable) => Answer::Unavailable,
        Err(other) => Answer::Unexpected(0, other.to_string().into()),
    }
}

async fn revoke(server: &Server, token: &str, client: &[(&str, &str)]) -> Answer {
    match read(&server.post_revoke(form_request(&form(&[("token", token)], client), None)).await) {
        (200, _) => Answer::Done,
        other => other_answer(other),
    }
}

async fn introspect(server: &Server, token: &str) -> Answer {
    match read(&server.post_introspect(form_request(&form(&[("token", token)], &[]), None)).await) {
        (200, body) if body["active"] == true => Answer::Active,
        (200, _) => Answer::Inactive,
        other => other_answer(other),
    }
}

fn other_answer((status, body): (u16, Value)) -> Answer {
    if status == 503 { Answer::Unavailable } else { Answer::Unexpected(status, body) }
}

impl Tokens {
    fn of(body: &Value) -> Self {
        let refresh = text(body, "refresh_token");
        let bytes = base64url(refresh);
        let refresh = RefreshToken {
            text: refresh.to_owned(),
            session: BASE64_URL_SAFE_NO_PAD.encode(&bytes[HEAD..HEAD + 32]),
            generation: u32::from_be_bytes(bytes[HEAD + 32..HEAD + 36].try_into().unwrap()),
            expires_at: u64::from_be_bytes(bytes[HEAD + 36..HEAD + 44].try_into().unwrap()),
            is_bound: body["token_type"] == "DPoP",
            proof: None,
        };
        let access = text(body, "access_token");
        let claims = payload(access);
        let access = AccessToken {
            text: access.to_owned(),
            session: text(&claims, "sid").to_owned(),
            id: text(&claims, "jti").to_owned(),
            expires_at: claims["exp"].as_u64().unwrap() * 1000,
            proof: None,
        };
        let id = body["id_token"].as_str().map(Arc::from);
        let is_test = |claims: &Value| claims["amr"] == json!(["test"]);
        let of_id = body["id_token"].as_str().map(|token| is_test(&payload(token)));
        let says_test = [is_test(&claims)].into_iter().chain(of_id).collect();
        Self { refresh: Arc::new(refresh), access: Arc::new(access), id, device: None, says_test }
    }
}

/// Whether whoever has the key set of a server can verify the tokens of an answer.
pub fn verifies(server: &Server, answer: &Answer) -> bool {
    let (Answer::LoggedIn(tokens) | Answer::Refreshed(tokens)) = answer else { return true };
    let verifies = |token: &str| jws::verify(token, server.engine().key_set()).is_ok();
    verifies(&tokens.access.text) && tokens.id.as_ref().is_none_or(|id| verifies(id))
}

pub fn base64url(text: &str) -> Vec<u8> {
    BASE64_URL_SAFE_NO_PAD.decode(text).unwrap()
}

/// The code of the test identity.
pub const FIXED_CODE: &str = "246810";

const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// The verifier of every code challenge: the user with the number [`OTHER`] sends one with each request for a code.
const VERIFIER: &str = "the-verifier-of-the-user-with-the-other-number";
/// The verifier of a thief.
pub const OTHER_VERIFIER: &str = "the-verifier-of-a-thief-who-has-all-but-the-right-one";

/// The version and the key identifier, before what a sealed token says.
const HEAD: usize = 1 + 4;
