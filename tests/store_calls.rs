//! What a request costs in calls of the store and the directory.

mod support;

use serde_json::json;
use support::*;

#[tokio::test]
async fn store_calls_are_counted() {
    let host = Host::new();
    let (calls, sent) = host.store_calls(host.send(&sms_send(PHONE))).await;
    assert_eq!(calls, 2, "send");
    let grant = sms_grant(PHONE, &sent);
    let (calls, _) = host.store_calls(host.token(&but(&grant, json!({ "otp": wrong(&sent.code) })))).await;
    assert_eq!(calls, 2, "wrong code");
    for garbage in [
        json!({ "otp_token": "garbage" }),
        json!({ "otp_token": format!("{}A", sent.otp_token) }),
        json!({ "phone_number": NOBODY }),
        json!({ "client_secret": "wrong" }),
        json!({ "scope": "admin" }),
        json!({ "otp": 1 }),
    ] {
        let (calls, (status, _)) = host.store_calls(host.token(&but(&grant, garbage.clone()))).await;
        assert_eq!(calls, 0, "{garbage}");
        assert!((400..500).contains(&status));
    }
    let (calls, (status, _)) = host.store_calls(host.token(&grant)).await;
    assert_eq!((calls, status), (4, 200), "right code");
    let (calls, _) = host.store_calls(host.token(&grant)).await;
    assert_eq!(calls, 1, "spent code");
    host.advance(secs(301));
    let (calls, _) = host.store_calls(host.token(&grant)).await;
    assert_eq!(calls, 0, "expired otp_token");
}

#[tokio::test]
async fn nothing_tells_a_known_from_an_unknown_or_locked_user_before_the_address_is_proved() {
    let mut traces = Vec::new();
    for phone in [PHONE, NOBODY, LOCKED_PHONE] {
        let host = Host::new();
        let (send_calls, sent) = host.store_calls(host.send(&sms_send(phone))).await;
        let guess = but(&sms_grant(phone, &sent), json!({ "otp": wrong(&sent.code) }));
        let (guess_calls, reply) = host.store_calls(host.token(&guess)).await;
        let directory = host.directory.calls.lock().unwrap().clone();
        traces.push((send_calls, guess_calls, reply, directory));
    }
    assert_eq!(traces[0], traces[1]);
    assert_eq!(traces[0], traces[2]);
    assert_eq!(traces[0].3, ["client", "auth_source", "client", "auth_source"]);
}
