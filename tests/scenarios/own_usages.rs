//! Usages of the host's own, and the delivery that a host queues.

use otp_grant::grant::CustomUsage;
use otp_grant::secret::PresentedSecret;
use otp_grant::server::{OtpMessage, VerifiedAddress, VerifyError, VerifyRequest};
use otp_grant::time::Timestamp;
use otp_grant::*;
use otp_grant_tests::*;
use serde_json::{Value, json};

fn usage(name: &str) -> CustomUsage {
    CustomUsage::new(name).unwrap()
}

fn send_for(usage: &str) -> Value {
    but(&sms_send(PHONE), json!({ "usage": usage, "auth_source_id": null }))
}

async fn verify(host: &Host, usage: Usage, sent: &Sent, code: &str) -> Result<VerifiedAddress, VerifyError> {
    let client = ClientId::new("TENANT_CLIENT_ID").unwrap();
    let address = Address::Phone(AddressPolicy::default().phone_number(PHONE).unwrap());
    let (otp_token, otp) = (PresentedSecret::new(sent.otp_token.as_str()), PresentedSecret::new(code));
    host.server.call_verify(VerifyRequest::new(&client, usage, address, otp_token, otp)).await
}

#[tokio::test]
async fn a_code_for_a_usage_of_the_host_is_good_for_it_alone() {
    let [payment, contract] = ["confirm_payment", "sign_contract"].map(usage);
    let host = Host::with(settings(|s| s.usages = vec![payment, contract]));
    let sent = host.send(&send_for("confirm_payment")).await;
    let others = [Usage::Custom(contract), Usage::Login, Usage::Signup, Usage::UpdateUserinfo, Usage::ResetPassword];
    for other in others {
        let refused = verify(&host, other, &sent, &sent.code).await;
        assert_eq!(refused.err(), Some(VerifyError::MismatchedOtpToken), "{other}");
    }
    let login = host.token(&sms_grant(PHONE, &sent)).await;
    assert_eq!(login, error(400, "invalid_request", "Mismatched OTP token and OTP sending parameters"));
    let payment = Usage::Custom(payment);
    let missed = verify(&host, payment, &sent, &wrong(&sent.code)).await;
    assert_eq!(missed.err(), Some(VerifyError::UnknownOtp { attempts_remaining: 4 }));
    assert_eq!(verify(&host, payment, &sent, &sent.code).await.unwrap().usage(), payment);
    assert_eq!(verify(&host, payment, &sent, &sent.code).await.err(), Some(VerifyError::UnknownOtpToken));
    assert!(host.counters.told.lock().unwrap().iter().any(|event| event.contains("confirm_payment")));
}

#[tokio::test]
async fn a_usage_that_the_host_does_not_name_is_refused_as_ever() {
    let as_ever = Host::new().refused_send(&send_for("confirm_payment")).await;
    assert_eq!(as_ever.1["error"], "invalid_request");
    let host = Host::with(settings(|s| s.usages = vec![usage("confirm_payment")]));
    for unknown in ["confirm_payments", "confirm_paymen", "Confirm_payment", "custom:confirm_payment"] {
        assert_eq!(host.refused_send(&send_for(unknown)).await, as_ever, "{unknown}");
    }
    // An auth source is for logins.
    let with_source = but(&sms_send(PHONE), json!({ "usage": "confirm_payment" }));
    let built_in = but(&sms_send(PHONE), json!({ "usage": "signup" }));
    assert_eq!(host.refused_send(&with_source).await, host.refused_send(&built_in).await);
}

#[test]
fn a_usage_of_the_host_has_a_name_that_no_other_usage_has() {
    for name in ["login", "signup", "update_userinfo", "reset_password"] {
        assert!(CustomUsage::new(name).is_err(), "{name}");
        assert_eq!(Usage::from_wire(name).unwrap().as_str(), name);
    }
    let too_long = "a".repeat(33);
    for name in ["", "_a", "1a", "A", "a-b", "a b", "a:b", "é", "a\0", &too_long] {
        assert!(CustomUsage::new(name).is_err(), "{name:?}");
    }
    for name in ["a", "confirm_payment2", &"a".repeat(32)] {
        assert_eq!(CustomUsage::new(name).unwrap().as_str(), name);
        assert_eq!(Usage::from_wire(name), None);
    }
}

#[tokio::test]
async fn a_delivery_tells_who_asked_for_the_code_and_by_which_auth_source() {
    let host = Host::new();
    let body = sms_send(PHONE).to_string();
    let delivery = host.server.post_send(json_request(&body, None)).await.unwrap();
    assert_eq!(delivery.message().unwrap().client().as_str(), "TENANT_CLIENT_ID");
    assert_eq!(
        delivery.message().unwrap().auth_source().map(AuthSourceId::as_str),
        Some("MOCK_SMS_OTP_AUTH_SOURCE_ID")
    );
    drop(delivery.accepted());
    host.advance(secs(30));
    let body = send_for("signup").to_string();
    let delivery = host.server.post_send(json_request(&body, None)).await.unwrap();
    assert_eq!(
        (delivery.message().unwrap().client().as_str(), delivery.message().unwrap().auth_source()),
        ("TENANT_CLIENT_ID", None)
    );
    drop(delivery.accepted());
}

#[tokio::test]
async fn a_message_is_sent_after_the_reply_by_another_thread() {
    let host = Host::new();
    let body = sms_send(PHONE).to_string();
    let delivery = host.server.post_send(json_request(&body, None)).await.unwrap();
    let (queue, messages) = std::sync::mpsc::channel::<OtpMessage>();
    let sender = std::thread::spawn(move || {
        let message = messages.recv().unwrap();
        assert_eq!(message.address().channel(), Channel::Sms);
        assert_eq!((message.usage(), message.validity()), (Usage::Login, secs(180)));
        assert_eq!(message.expires_at(), Timestamp::from_unix_secs(START + 180));
        assert_eq!(message.client().as_str(), "TENANT_CLIENT_ID");
        assert_eq!(message.auth_source().map(AuthSourceId::as_str), Some("MOCK_SMS_OTP_AUTH_SOURCE_ID"));
        let shown = format!("{message:?}");
        let code = message.code().expose_secret().to_owned();
        assert!(!shown.contains(&code) && !shown.contains(PHONE), "{shown}");
        code
    });
    let (message, reply) = delivery.into_parts();
    let (status, reply) = read(&reply);
    assert_eq!(status, 200);
    queue.send(message.unwrap()).unwrap();
    let sent = Sent { otp_token: text(&reply, "otp_token").to_owned(), code: sender.join().unwrap(), reply };
    assert_eq!(host.token(&sms_grant(PHONE, &sent)).await.0, 200);
}
