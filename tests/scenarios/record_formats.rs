//! The formats in which an adapter can keep records, and a format in which it can't.

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
