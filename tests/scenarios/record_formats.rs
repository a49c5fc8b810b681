//! The formats in which an adapter can keep records, and a format in which it can't.

use otp_grant::dpop::DpopSupport;
use otp_grant::settings::SMS_GRANT_TYPE;
use otp_grant::store::Record;
use otp_grant_tests::*;
use serde_json::json;

/// The records of a service after logins, wrong codes, refreshes and sign-outs, each as it was at some time.
async fn records() -> Vec<Record> {
    let host = Host::new();
    let mut records = Vec::new();
    let mut keep = || records.extend(host.store.inner.records().into_iter().map(|(_, record)| record));
    let sent = host.send(&sms_send(PHONE)).await;
    host.token(&but(&sms_grant(PHONE, &sent), json!({ "otp": wrong(&sent.code) }))).await;
    keep();
    let (_, login) = host.token(&sms_grant(PHONE, &sent)).await;
    keep();
    let (_, next) = host.refresh(text(&login, "refresh_token")).await;
    keep();
    assert_eq!(host.revoke(text(&next, "access_token"), &[]).await.status(), 200);
    keep();
    assert_eq!(host.revoke(text(&next, "refresh_token"), &[]).await.status(), 200);
    keep();
    records.extend(records_with_proofs().await);
    records
}

/// The records of a client that proves a key, at a strict host: of an address, a session and a proof.
async fn records_with_proofs() -> Vec<Record> {
    let (host, key) = (Host::with(settings(|settings| settings.dpop = DpopSupport::Strict)), Prover::new(1));
    let mut records = Vec::new();
    let mut keep = || records.extend(host.store.inner.records().into_iter().map(|(_, record)| record));
    let proof = |path: &str| key.proof(&host, path, json!({}));
    let send = json!({ "client_id": DPOP_CLIENT, "auth_source_id": SMS_SOURCE, "phone_number": PHONE });
    let (code, sent) = host.send_with(&send, &proof("/otp/send")).await;
    let grant = but(&send, json!({ "grant_type": SMS_GRANT_TYPE, "otp_token": sent["otp_token"], "otp": code }));
    let guess = but(&grant, json!({ "otp": wrong(&code) }));
    assert_eq!(host.post_with("/oauth2/token", &guess, &[&proof("/oauth2/token")]).await.status(), 400);
    keep();
    let mut said = read(&host.post_with("/oauth2/token", &grant, &[&proof("/oauth2/token")]).await).1;
    keep();
    // More proofs than a session remembers.
    for _ in 0..10 {
        host.advance(secs(1));
        let token = text(&said, "refresh_token");
        let refresh = json!({ "client_id": DPOP_CLIENT, "grant_type": "refresh_token", "refresh_token": token });
        said = read(&host.post_with("/oauth2/token", &refresh, &[&proof("/oauth2/token")]).await).1;
        keep();
    }
    let token = text(&said, "access_token");
    let reply = host.userinfo_with("DPoP", token, &[&key.proof_with(&host, token, json!({}))]).await;
    assert_eq!(reply.status(), 200);
    keep();
    assert_eq!(host.store.inner.records().len(), 3, "an address, a session and a proof");
    records
}

#[tokio::test]
async fn records_survive_every_format_that_names_members() {
    for record in records().await {
        let json = serde_json::to_vec(&record).unwrap();
        assert_eq!(serde_json::from_slice::<Record>(&json).unwrap(), record);
        let value = serde_json::to_value(&record).unwrap();
        assert_eq!(serde_json::from_value::<Record>(value).unwrap(), record);
        let mut cbor = Vec::new();
        ciborium::into_writer(&record, &mut cbor).unwrap();
        assert_eq!(ciborium::from_reader::<Record, _>(&*cbor).unwrap(), record);
        let message_pack = rmp_serde::to_vec_named(&record).unwrap();
        assert_eq!(rmp_serde::from_slice::<Record>(&message_pack).unwrap(), record);
    }
}

/// Reading fails, and does not return another record.
#[tokio::test]
async fn a_format_without_names_fails() {
    let records = records().await;
    let read = records.iter().map(|record| {
        let compact = rmp_serde::to_vec(record).unwrap();
        rmp_serde::from_slice::<Record>(&compact).ok().inspect(|read| assert_eq!(read, record))
    });
    assert!(read.filter(Option::is_none).count() > 0);
}
