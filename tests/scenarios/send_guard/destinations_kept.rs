//! The records of destinations, as later versions may write them.

use super::*;

#[tokio::test]
async fn no_send_is_decided_on_a_later_format() {
    let host = Host::with(guarded(|_| {}));
    let sent = try_send(&host, NUMBER).await.unwrap();
    for (key, record) in host.store.inner.records() {
        if record.body.kind() == "destination" {
            let body = RecordBody::from_bytes(br#"{"destination.2":{"w":"x"}}"#).unwrap();
            assert_eq!(body.kind(), "destination");
            let next = Record::new(Tag::from_bytes([7; Tag::LEN]), record.delete_after, body);
            let Ok(swap) = host.store.inner.swap(&key, Some(record.tag), &next).await;
            assert_eq!(swap, Swap::Stored);
        }
    }
    let records = host.store.inner.records().len();
    assert_eq!(try_send(&host, &in_block(2)).await.unwrap_err().0, 503);
    assert_eq!(host.store.inner.records().len(), records);
    // A credit that fails changes no reply.
    assert_eq!(log_in(&host, NUMBER, &sent).await, 200);
}

#[tokio::test]
async fn a_destination_keeps_the_members_of_a_later_version_and_reveals_nothing() {
    let host = Host::with(guarded(|_| {}));
    let sent = try_send(&host, NUMBER).await.unwrap();
    for (key, record) in host.store.inner.records() {
        if record.body.kind() == "destination" {
            let mut body: Value = serde_json::from_slice(&record.body.to_bytes().unwrap()).unwrap();
            body["destination"]["later"] = json!([1, { "x": null }]);
            let body = RecordBody::from_bytes(body.to_string().as_bytes()).unwrap();
            let next = Record::new(Tag::from_bytes([7; Tag::LEN]), record.delete_after, body);
            let Ok(swap) = host.store.inner.swap(&key, Some(record.tag), &next).await;
            assert_eq!(swap, Swap::Stored);
        }
    }
    assert_eq!(log_in(&host, NUMBER, &sent).await, 200);
    let mut seen = 0;
    for (_, record) in host.store.inner.records() {
        let body = String::from_utf8(record.body.to_bytes().unwrap()).unwrap();
        for part in ["13612340001", "1361234", "861361", CLIENT, &sent.code, &sent.otp_token] {
            assert!(record.body.kind() == "session" || !body.contains(part), "{part} in {body}");
        }
        if record.body.kind() == "destination" {
            assert!(body.contains(r#""later":[1,{"x":null}]"#), "{body}");
            assert!(body.len() < 250, "{} bytes", body.len());
            seen += 1;
        }
    }
    assert_eq!(seen, 2);
}
