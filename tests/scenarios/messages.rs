//! Messages of the kit, from the send of a code to the login with what a device reads in the message.

use otp_grant::grant::CustomUsage;
use otp_grant::message::{Application, Content, KitBuilder, Link, MessageKit, OriginHost};
use otp_grant::otp::CodePolicy;
use otp_grant::server::OtpMessage;
use otp_grant::*;
use otp_grant_tests::*;
use regex::Regex;
use serde_json::{Value, json};

const LOCALES: [&str; 10] =
    ["ar-EG", "de-AT", "en-GB", "es-MX", "fr_CA", "hi-IN", "ja-JP", "pt-BR", "ru", "zh-Hans-CN"];
const USAGES: [&str; 5] = ["login", "signup", "update_userinfo", "reset_password", "confirm_payment"];
const ORIGIN: &str = "login.example.com";

/// The expression by which browsers find the host and the code.
fn origin_bound(text: &str) -> Option<(String, String)> {
    let expression = Regex::new(r"(?:^|\s)@([a-zA-Z0-9.-]+) #([^#\s]+)").unwrap();
    expression.captures(text).map(|found| (found[1].to_owned(), found[2].to_owned()))
}

fn kit() -> KitBuilder {
    MessageKit::builder(Application::new("Example").unwrap()).allow_two_segments()
}

fn with_origin() -> KitBuilder {
    kit().origin(OriginHost::new(ORIGIN).unwrap())
}

fn email_send() -> Value {
    but(
        &sms_send(PHONE),
        json!({ "auth_source_id": "MOCK_EMAIL_OTP_AUTH_SOURCE_ID", "phone_number": null, "email": EMAIL }),
    )
}

fn used_for(body: &Value, usage: &str) -> Value {
    let source = if usage == "login" { body["auth_source_id"].clone() } else { Value::Null };
    but(body, json!({ "usage": usage, "auth_source_id": source }))
}

/// Requests a code. Returns the message and the reply.
async fn sent(host: &Host, body: &Value) -> (OtpMessage, Value) {
    let delivery = host.server.post_send(json_request(&body.to_string(), None)).await.map_err(|reply| read(&reply));
    let (message, reply) = delivery.unwrap().into_parts();
    (message.unwrap(), read(&reply).1)
}

fn host_with_codes(policy: &CodePolicy) -> Host {
    let source = AuthSource::new(AuthSourceId::new(SMS_SOURCE).unwrap(), Channel::Sms).with_code(policy.clone());
    let with_usage = |s: &mut Settings| {
        s.code = policy.clone();
        s.usages = vec![CustomUsage::new("confirm_payment").unwrap()];
    };
    Host::with_directory(settings(with_usage), signing_key(), sample_directory().with_auth_source(source))
}

#[tokio::test]
async fn a_browser_finds_host_and_code_in_every_message() {
    for length in 4..=10 {
        let policy = CodePolicy::new(length, secs(180)).unwrap();
        let (host, kit) = (host_with_codes(&policy), with_origin().code_policy(&policy).build().unwrap());
        let without = kit_without_origin(&policy);
        for usage in USAGES {
            let (message, _) = sent(&host, &used_for(&sms_send(PHONE), usage)).await;
            let code = message.code().expose_secret();
            assert_eq!((code.len(), message.usage().as_str()), (usize::from(length), usage));
            for locale in LOCALES {
                let sms = kit.sms(&message.content(), locale);
                let text = sms.expose_secret();
                assert_eq!(origin_bound(text), Some((ORIGIN.to_owned(), code.to_owned())), "{text}");
                let last = text.lines().last().unwrap();
                assert_eq!(last, format!("@{ORIGIN} #{code}"));
                let warned = kit.warnings().iter().any(|long| long.language == *sms.language());
                assert!(sms.length().segments() == 1 || warned && sms.length().segments() == 2, "{text}");
                let sms = without.sms(&message.content(), locale);
                assert_eq!((sms.length().segments(), origin_bound(sms.expose_secret())), (1, None), "{usage} {locale}");
            }
            host.advance(secs(31));
        }
    }
}

fn kit_without_origin(policy: &CodePolicy) -> MessageKit {
    let kit = MessageKit::builder(Application::new("Example").unwrap()).code_policy(policy).build().unwrap();
    assert_eq!(kit.warnings(), []);
    kit
}

#[tokio::test]
async fn what_a_browser_reads_in_an_sms_logs_in() {
    let (host, kit) = (Host::new(), with_origin().build().unwrap());
    for locale in LOCALES {
        let (message, reply) = sent(&host, &sms_send(PHONE)).await;
        let (_, code) = origin_bound(kit.sms(&message.content(), locale).expose_secret()).unwrap();
        let sent = Sent { otp_token: text(&reply, "otp_token").to_owned(), code, reply };
        assert_eq!(host.token(&sms_grant(PHONE, &sent)).await.0, 200, "{locale}");
        host.advance(secs(31));
    }
}

#[tokio::test]
async fn the_fragment_of_a_link_logs_in() {
    let page = Link::new("https://app.example/login").unwrap();
    let (host, kit) = (Host::new(), kit().link(Usage::Login, page).build().unwrap());
    let (message, reply) = sent(&host, &email_send()).await;
    let email = kit.email(&message.content(), "en");
    let (_, link) = email.text().expose_secret().split_once("https://app.example/login#otp=").unwrap();
    let code = link.lines().next().unwrap().to_owned();
    assert!(email.subject().expose_secret().starts_with(&code));
    let sent = Sent { otp_token: text(&reply, "otp_token").to_owned(), code, reply };
    let login = but(
        &sms_grant(PHONE, &sent),
        json!({
            "grant_type": "http://tencentciam.com/oauth2/grant-type/otp/email",
            "auth_source_id": "MOCK_EMAIL_OTP_AUTH_SOURCE_ID", "phone_number": null, "email": EMAIL,
        }),
    );
    assert_eq!(host.token(&login).await.0, 200);
}

#[tokio::test]
async fn a_resend_says_how_much_time_is_left() {
    let (host, kit) = (Host::new(), kit().build().unwrap());
    let (first, _) = sent(&host, &sms_send(PHONE)).await;
    host.advance(secs(60));
    let (second, _) = sent(&host, &sms_send(PHONE)).await;
    assert_eq!(first.code().expose_secret(), second.code().expose_secret());
    let says = |message: &OtpMessage, time: &str| {
        let sms = kit.sms(&message.content(), "en");
        assert!(sms.expose_secret().contains(&format!("expires in {time}.")), "{}", sms.expose_secret());
    };
    says(&first, "3 min");
    says(&second, "2 min");
    let waited = Content::new(first.code(), first.usage(), secs(40));
    assert!(kit.sms(&waited, "en").expose_secret().contains("expires in 40 s."));
}

#[tokio::test]
async fn a_message_names_the_application_of_its_client() {
    let spa = Application::new("Example for teams").unwrap();
    let kit = kit().client(ClientId::new(PUBLIC_CLIENT).unwrap(), spa).build().unwrap();
    let host = Host::new();
    for (body, name) in [
        (sms_send(PHONE), "your Example code"),
        (
            but(&sms_send("13612345679"), json!({ "client_id": PUBLIC_CLIENT, "client_secret": null })),
            "your Example for teams code",
        ),
    ] {
        let (message, _) = sent(&host, &body).await;
        assert!(kit.sms(&message.content(), "en").expose_secret().contains(name));
        assert!(!format!("{:?}", message.content()).contains(message.code().expose_secret()));
    }
}
