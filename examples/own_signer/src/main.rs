//! A signer of your own: `cargo run -p otp-grant-example-own-signer`
//!
//! The private key lives with a key service (`lib.rs`). Here the service is a thread that signs with `ed25519-dalek`.
//! In your host it is an HSM or a service in the network. A login waits for its signatures as it waits for the store,
//! and blocks no thread of the host. `cargo bench --bench own_signer` measures the cost.

use std::error::Error;

use futures::executor::block_on;
use otp_grant::jwt::Audience;
use otp_grant::{
    Address, AddressPolicy, AuthSource, AuthSourceId, AuthorizationServer, Channel, Client, ClientId, Delivery, Issuer,
    Keyring, MasterKey, MemoryDirectory, MemoryStore, Request, SigningKey, Subject, User, UserStatus,
};
use otp_grant_example_own_signer::KeyService;
use serde_json::{Value, json};

fn main() -> Result<(), Box<dyn Error>> {
    let (service, public) = KeyService::start()?;
    let signing_key = block_on(SigningKey::of_signer(service, public))?;

    let phone = AddressPolicy::default().phone_number("13612345678")?;
    let client = Client::public(ClientId::new("app")?).with_sending().with_auth_source(AuthSourceId::new("sms")?);
    let source = AuthSource::new(AuthSourceId::new("sms")?, Channel::Sms);
    let user = User::new(Subject::new("anna")?, UserStatus::Active);
    let directory =
        MemoryDirectory::new().with_client(client).with_auth_source(source).with_user(user, [Address::Phone(phone)]);
    let keyring = Keyring::new(&MasterKey::generate()?, &MasterKey::generate()?);
    let server = AuthorizationServer::builder(Issuer::new("https://login.example.com")?, keyring, signing_key)
        .build(MemoryStore::new(), directory)?;

    let send = json!({
        "client_id": "app", "auth_source_id": "sms", "usage": "login", "phone_number": "13612345678",
    });
    let mut code = None;
    let deliver = async |delivery: Delivery| {
        code = delivery.message().map(|message| message.code().expose_secret().to_owned());
        delivery.accepted()
    };
    let body = send.to_string();
    let request = Request::new("POST", "/otp/send").header("Content-Type", "application/json").body(&body);
    let reply = block_on(server.handle(request, deliver)).ok_or("no such endpoint")?;
    let sent: Value = serde_json::from_slice(reply.body())?;
    let grant = json!({
        "grant_type": otp_grant::settings::SMS_GRANT_TYPE, "client_id": "app", "auth_source_id": "sms",
        "phone_number": "13612345678", "otp_token": sent.get("otp_token"), "otp": code,
    });
    let body = grant.to_string();
    let request = Request::new("POST", "/oauth2/token").header("Content-Type", "application/json").body(&body);
    let reply = block_on(server.handle(request, async |delivery| delivery.accepted())).ok_or("no such endpoint")?;
    let tokens: Value = serde_json::from_slice(reply.body())?;
    let access_token = tokens.get("access_token").and_then(Value::as_str).ok_or_else(|| said(reply.body()))?;

    let claims = server.verify_access_token(access_token, Audience::EveryClient)?;
    println!("signed elsewhere, verified here: the access token of {}", claims.subject.as_str());
    Ok(())
}

fn said(body: &[u8]) -> String {
    String::from_utf8_lossy(body).into_owned()
}
