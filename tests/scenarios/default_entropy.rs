//! Random bytes come from the operating system, unless the host brings its own source. No drawn value follows from the
//! keys, the clock or the request.

use std::collections::BTreeSet;

use otp_grant::{AuthorizationServer, Issuer, MemoryStore, SigningKey};
use otp_grant_tests::*;

#[tokio::test]
async fn servers_that_differ_in_nothing_else_send_different_codes_and_tokens() {
    let (mut codes, mut tokens) = (BTreeSet::new(), BTreeSet::new());
    for _ in 0..20 {
        let clock = ManualClock::new();
        let key = SigningKey::from_pem(include_str!("../keys/ed25519_pkcs8.pem")).expect("a key");
        let server = AuthorizationServer::builder(Issuer::new(ISSUER).expect("an issuer"), keyring(), key)
            .clock(clock.clone())
            .build(MemoryStore::with_clock(clock), sample_directory())
            .expect("a server");
        let send = sms_send(PHONE).to_string();
        let delivery = server.post_send(json_request(&send, None)).await.expect("a delivery");
        let code = delivery.message().unwrap().code().expose_secret().to_owned();
        let reply = read(&delivery.accepted()).1;
        let sent = Sent { otp_token: text(&reply, "otp_token").to_owned(), code, reply };
        let grant = sms_grant(PHONE, &sent).to_string();
        let (status, said) = read(&server.post_token(json_request(&grant, None)).await);
        assert_eq!(status, 200, "{said}");
        for name in ["access_token", "id_token", "refresh_token"] {
            tokens.insert(text(&said, name).to_owned());
        }
        for name in ["jti", "sid"] {
            tokens.insert(text(&payload(text(&said, "access_token")), name).to_owned());
        }
        tokens.insert(sent.otp_token);
        codes.insert(sent.code);
    }
    assert_eq!(tokens.len(), 20 * 6);
    // Two of twenty codes are the same once in 5,000 runs. Four of them never are.
    assert!(codes.len() > 17, "{codes:?}");
}
