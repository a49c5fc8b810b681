//! A dump of the store, and the `{:?}` of public types, contain no value that an attacker can replay, and no sign of
//! who logs in.

use base64::Engine;
use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};
use otp_grant::dpop::DpopSupport;
use otp_grant::jwt::Algorithm;
use otp_grant::secret::PresentedSecret;
use otp_grant::settings::SMS_GRANT_TYPE;
use otp_grant::*;
use otp_grant_tests::*;
use serde_json::json;

/// The raw, hex and base64 forms of a secret.
fn forms(secret: &str) -> Vec<String> {
    let bytes = secret.as_bytes();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut forms = vec![secret.to_owned(), hex.to_uppercase(), hex];
    forms.push(BASE64_STANDARD_NO_PAD.encode(bytes));
    forms.push(BASE64_URL_SAFE_NO_PAD.encode(bytes));
    if let Ok(raw) = BASE64_URL_SAFE_NO_PAD.decode(secret) {
        forms.push(raw.iter().map(|byte| format!("{byte:02x}")).collect());
        forms.push(BASE64_STANDARD_NO_PAD.encode(&raw));
    }
    forms
}

#[tokio::test]
async fn a_dump_of_the_store_holds_no_secret_and_no_address() {
    let host = Host::new();
    let mut secrets = vec![PHONE.to_owned(), EMAIL.to_owned(), EMAIL.to_lowercase()];
    for round in 0..3 {
        let sent = host.send(&sms_send(PHONE)).await;
        let (_, tokens) = match round {
            0 => host.token(&but(&sms_grant(PHONE, &sent), json!({ "otp": wrong(&sent.code) }))).await,
            _ => host.token(&but(&sms_grant(PHONE, &sent), json!({ "remember_device": true }))).await,
        };
        secrets.extend([sent.code, sent.otp_token]);
        let names = ["refresh_token", "access_token", "id_token", "device_token"];
        secrets.extend(names.iter().filter_map(|name| tokens[name].as_str()).map(str::to_owned));
        host.advance(secs(40));
    }
    let email = but(
        &sms_send(PHONE),
        json!({ "auth_source_id": "MOCK_EMAIL_OTP_AUTH_SOURCE_ID", "phone_number": null, "email": EMAIL }),
    );
    let sent = host.send(&email).await;
    secrets.extend([sent.code, sent.otp_token]);

    assert_eq!(secrets.len(), 3 + 3 * 2 + 2 * 4 + 2, "every token is looked for");
    let records = host.store.inner.records();
    assert_eq!(records.len(), 4, "two addresses and two sessions");
    let dump =
        format!("{} {records:?}", serde_json::to_string(&records.iter().map(|(_, r)| r).collect::<Vec<_>>()).unwrap());
    for secret in &secrets {
        for form in forms(secret) {
            assert!(!dump.contains(&form), "{form} is in the dump");
        }
    }
}

/// A proof can be replayed while it is in time. The store keeps a hash of each proof and the thumbprint of its key.
#[tokio::test]
async fn neither_a_dump_nor_the_debug_output_holds_a_proof() {
    let (host, key) = (Host::with(settings(|settings| settings.dpop = DpopSupport::Strict)), Prover::new(1));
    let send = json!({ "client_id": NONCE_CLIENT, "auth_source_id": SMS_SOURCE, "phone_number": PHONE });
    let reply = host.post_with("/otp/send", &send, &[&key.proof(&host, "/otp/send", json!({}))]).await;
    let nonce = reply.header("DPoP-Nonce").unwrap().to_owned();
    let proof = |path: &str| key.proof(&host, path, json!({ "nonce": nonce }));
    let proofs = [proof("/otp/send"), proof("/oauth2/token"), proof("/oauth2/token"), proof("/oauth2/token")];
    let (code, sent) = host.send_with(&send, &proofs[0]).await;
    let grant = but(&send, json!({ "grant_type": SMS_GRANT_TYPE, "otp_token": sent["otp_token"], "otp": code }));
    let guess = but(&grant, json!({ "otp": wrong(&code) }));
    assert_eq!(host.post_with("/oauth2/token", &guess, &[&proofs[1]]).await.status(), 400);
    let tokens = read(&host.post_with("/oauth2/token", &grant, &[&proofs[2]]).await).1;
    let refresh = json!({
        "client_id": NONCE_CLIENT, "grant_type": "refresh_token", "refresh_token": tokens["refresh_token"],
    });
    let tokens = read(&host.post_with("/oauth2/token", &refresh, &[&proofs[3]]).await).1;
    let access_token = text(&tokens, "access_token");
    let of_use = key.proof_with(&host, access_token, json!({ "nonce": nonce }));
    assert_eq!(host.userinfo_with("DPoP", access_token, &[&of_use]).await.status(), 200);

    let mut secrets = vec![nonce, access_token.to_owned(), text(&tokens, "refresh_token").to_owned(), code];
    for proof in proofs.iter().chain([&of_use]) {
        let signature = proof.rsplit('.').next().unwrap().to_owned();
        secrets.extend([proof.clone(), text(&payload(proof), "jti").to_owned(), signature]);
    }
    let records = host.store.inner.records();
    assert_eq!(records.len(), 3, "an address, a session and a proof");
    let bodies = serde_json::to_string(&records.iter().map(|(_, r)| r).collect::<Vec<_>>()).unwrap();
    let (authorization, url) = (format!("DPoP {access_token}"), format!("{ISSUER}/userinfo"));
    let request = Request::new("GET", "/userinfo").header("Authorization", &authorization).header("DPoP", &of_use);
    let output = format!("{bodies} {records:?} {request:?} {:?} {:?}", request.dpop(), request.access_token(&url));
    for secret in &secrets {
        for form in forms(secret) {
            assert!(!output.contains(&form), "{form} is in {output}");
        }
    }
    // What the server tells its host.
    let told = host.counters.told.lock().unwrap().join(" ");
    for secret in &secrets {
        assert!(!told.contains(secret), "{secret} is in {told}");
    }
}

#[tokio::test]
async fn debug_output_holds_no_secret_and_no_address() {
    let host = Host::new();
    let send = sms_send(PHONE).to_string();
    let request = json_request(&send, Some("Basic c2VjcmV0"));
    let delivery = host.server.post_send(json_request(&send, None)).await.unwrap();
    let code = delivery.message().unwrap().code().expose_secret().to_owned();
    let mut output = format!(
        "{:?} {delivery:?} {:?} {:?} {:?}",
        request.to("POST", "/otp/send"),
        delivery.message().unwrap().code(),
        delivery.message().unwrap().address(),
        host.server
    );
    let reply = delivery.accepted();
    let body: serde_json::Value = serde_json::from_slice(reply.body()).unwrap();
    let otp_token = body["otp_token"].as_str().unwrap().to_owned();
    output += &format!("{reply:?}");
    let sent = Sent { otp_token: otp_token.clone(), code: code.clone(), reply: body };
    let grant = but(&sms_grant(PHONE, &sent), json!({ "remember_device": true })).to_string();
    let reply = host.server.post_token(json_request(&grant, None)).await;
    output += &format!("{reply:?} {:?}", MasterKey::from_bytes(&[b'x'; 32]).unwrap());
    output += &format!("{:?} {:?}", PresentedSecret::new(code.as_str()), ClientSecret::digest("TENANT_CLIENT_SECRET"));
    output += &format!("{:?}", host.directory.inner);
    let key = SigningKey::generate(Algorithm::ES256).unwrap();
    output += &format!("{key:?} {:?}", key.public_key());
    for shown in ["Request {", "Delivery {", "Reply {", "SigningKey {", "PublicKey {", "MasterKey(", key.key_id()] {
        assert!(output.contains(shown), "{shown} is not in {output}");
    }
    let tokens: serde_json::Value = serde_json::from_slice(reply.body()).unwrap();
    let token = |name: &str| tokens[name].as_str().unwrap().to_owned();
    let secrets =
        [code, otp_token, token("refresh_token"), token("access_token"), token("device_token"), PHONE.to_owned()];
    for secret in secrets.into_iter().chain(["TENANT_CLIENT_SECRET".into(), "mock_username".into(), "c2VjcmV0".into()])
    {
        assert!(!output.contains(&secret), "{secret} is in {output}");
    }
}
