//! Clients by HTTP Basic: the samples of RFC 6749 and RFC 7617 at the token endpoint, and a login by each.

use base64::{Engine, prelude::BASE64_STANDARD};
use otp_grant::{AuthSourceId, Client, ClientId, ClientSecret, Scope, Settings, SigningKey};
use otp_grant_tests::*;
use serde_json::json;

/// A client, its secret, and the credentials that its section writes for them.
const SAMPLES: [(&str, &str, &str, &str); 5] = [
    ("RFC 6749 2.3.1", "s6BhdRkqt3", "7Fjfp0ZBr1KtDRbnfVdmIw", "czZCaGRSa3F0Mzo3RmpmcDBaQnIxS3REUmJuZlZkbUl3"),
    ("RFC 6749 4.1.3", "s6BhdRkqt3", "gX1fBat3bV", "czZCaGRSa3F0MzpnWDFmQmF0M2JW"),
    ("RFC 7617 2", "Aladdin", "open sesame", "QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
    ("RFC 7617 2.1", "test", "123\u{a3}", "dGVzdDoxMjPCow=="),
    // The text of RFC 6749 appendix B as a secret, encoded as it is there.
    ("RFC 6749 B", "s6BhdRkqt3", " %&+\u{a3}\u{20ac}", "czZCaGRSa3F0MzorJTI1JTI2JTJCJUMyJUEzJUUyJTgyJUFD"),
];
/// RFC 6749 section 6, with the credentials in the header, and with the credentials in the body as in section 2.3.1.
const REFRESH: &str = "grant_type=refresh_token&refresh_token=tGzv3JOkF0XG5Qx2TlKWIA";
const REFRESH_IN_BODY: &str = "grant_type=refresh_token&refresh_token=tGzv3JOkF0XG5Qx2TlKWIA\
    &client_id=s6BhdRkqt3&client_secret=7Fjfp0ZBr1KtDRbnfVdmIw";

fn host_of(id: &str, secret: &str) -> Host {
    let client = Client::confidential(ClientId::new(id).unwrap(), ClientSecret::digest(secret))
        .with_auth_source(AuthSourceId::new("MOCK_SMS_OTP_AUTH_SOURCE_ID").unwrap())
        .with_scopes(Scope::openid(), Scope::openid())
        .unwrap();
    let key = SigningKey::from_pem(include_str!("../keys/es256_pkcs8.pem")).unwrap();
    Host::with_directory(Settings::default(), key, sample_directory().with_client(client))
}

#[tokio::test]
async fn the_credentials_of_the_rfcs_name_their_clients() {
    println!("{} Basic credentials of RFC 6749 and RFC 7617", SAMPLES.len());
    for (name, id, secret, credentials) in SAMPLES {
        let host = host_of(id, secret);
        let refresh = async |host: &Host, credentials: &str| {
            let authorization = format!("Basic {credentials}");
            host.server.post_token(form_request(REFRESH, Some(&authorization))).await
        };
        // The host has no such refresh token. It says so only to a client that has authenticated.
        let reply = refresh(&host, credentials).await;
        assert_eq!(read(&reply), error(400, "invalid_grant", "Unknown or expired refresh_token"), "{name}");

        let strangers = [
            refresh(&host_of(id, "another secret"), credentials).await,
            refresh(&host_of("another_id", secret), credentials).await,
            refresh(&host, &BASE64_STANDARD.encode(format!("{id}:{secret} "))).await,
            refresh(&host, &BASE64_STANDARD.encode(format!("{id}:"))).await,
        ];
        for reply in strangers {
            let (status, said) = read(&reply);
            assert_eq!((status, &said["error"]), (401, &json!("invalid_client")), "{name}");
            assert_eq!(reply.header("WWW-Authenticate"), Some("Basic"), "{name}");
        }
    }
}

#[tokio::test]
async fn a_login_by_each_of_the_credentials() {
    for (name, id, secret, credentials) in SAMPLES {
        let host = host_of(id, secret);
        let authorization = format!("Basic {credentials}");
        let own = json!({ "client_id": null, "client_secret": null });
        let send = but(&sms_send(PHONE), own.clone()).to_string();
        let delivery = host.server.post_send(json_request(&send, Some(&authorization))).await.unwrap();
        let code = delivery.message().unwrap().code().expose_secret().to_owned();
        let reply = read(&delivery.accepted()).1;
        let sent = Sent { otp_token: text(&reply, "otp_token").to_owned(), code, reply };
        let grant = but(&sms_grant(PHONE, &sent), own).to_string();
        let (status, tokens) = read(&host.server.post_token(json_request(&grant, Some(&authorization))).await);
        assert_eq!(status, 200, "{name}: {tokens}");
        assert_eq!(payload(text(&tokens, "access_token"))["aud"], id, "{name}");
    }
}

#[tokio::test]
async fn the_credentials_of_rfc_6749_in_the_body() {
    let token = async |host: Host| read(&host.server.post_token(form_request(REFRESH_IN_BODY, None)).await);
    let known = token(host_of("s6BhdRkqt3", "7Fjfp0ZBr1KtDRbnfVdmIw")).await;
    assert_eq!(known, error(400, "invalid_grant", "Unknown or expired refresh_token"));
    let (status, said) = token(host_of("s6BhdRkqt3", "gX1fBat3bV")).await;
    assert_eq!((status, &said["error"]), (401, &json!("invalid_client")));
}

/// RFC 7617 section 2.1 describes this case: the same text in another charset is another secret, or none.
#[tokio::test]
async fn the_sample_in_latin_1_is_nobody() {
    let host = host_of("test", "123\u{a3}");
    let authorization = format!("Basic {}", BASE64_STANDARD.encode(b"test:123\xa3"));
    let (status, said) = read(&host.server.post_token(form_request(REFRESH, Some(&authorization))).await);
    assert_eq!((status, &said["error"]), (401, &json!("invalid_client")));
}
