//! Stores and directories whose type is chosen at run time.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use otp_grant::directory::ErasedDirectory;
use otp_grant::id::RecordKey;
use otp_grant::jwt::Algorithm;
use otp_grant::store::ErasedStore;
use otp_grant::*;
use otp_grant_tests::*;
use serde_json::json;

struct Erased {
    host: Host,
    server: AuthorizationServer<ErasedStore, ErasedDirectory>,
}

fn erased() -> Erased {
    let host = Host::new();
    let key = other_key(Algorithm::ES256);
    let (store, directory) =
        (ErasedStore::new(Arc::clone(&host.store)), ErasedDirectory::new(Arc::clone(&host.directory)));
    let server = AuthorizationServer::builder(Issuer::new(ISSUER).unwrap(), keyring(), key)
        .clock(host.clock.clone())
        .entropy(host.entropy.clone())
        .observer(host.counters.clone())
        .build(store, directory)
        .unwrap();
    Erased { host, server }
}

async fn send(server: &impl Posts, body: &serde_json::Value) -> Sent {
    let delivery = server.post_send(json_request(&body.to_string(), None)).await.unwrap();
    let code = delivery.message().unwrap().code().expose_secret().to_owned();
    let reply = read(&delivery.accepted()).1;
    Sent { otp_token: text(&reply, "otp_token").to_owned(), code, reply }
}

#[tokio::test]
async fn a_login_runs_over_them_as_over_any_other() {
    let Erased { host, server } = erased();
    let token = async |body: serde_json::Value| read(&server.post_token(json_request(&body.to_string(), None)).await);
    let sent = send(&server, &sms_send(PHONE)).await;
    let grant = but(&sms_grant(PHONE, &sent), json!({ "scope": "openid profile" }));
    let (status, said) = token(but(&grant, json!({ "otp": wrong(&sent.code) }))).await;
    assert_eq!((status, &said["attempts_remaining"]), (400, &json!(4)));
    let (status, tokens) = token(grant.clone()).await;
    assert_eq!(status, 200, "{tokens}");
    assert_eq!(token(grant).await.0, 400, "a code logs in once");

    let bearer = format!("Bearer {}", text(&tokens, "access_token"));
    let asks = Post { authorization: Some(&bearer), ..Post::default() };
    assert_eq!(read(&server.post_userinfo(asks).await).1["name"], "Mock User");
    let refresh = form(&[("grant_type", "refresh_token"), ("refresh_token", text(&tokens, "refresh_token"))], &[]);
    let (status, refreshed) = read(&server.post_token(form_request(&refresh, None)).await);
    assert_eq!(status, 200, "{refreshed}");
    let token = form(&[("token", text(&refreshed, "refresh_token"))], &[]);
    assert_eq!(server.post_revoke(form_request(&token, None)).await.status(), 200);
    assert_eq!(server.post_userinfo(asks).await.status(), 401);

    // The address is new: the directory must also sign up.
    host.advance(secs(30));
    let sent = send(&server, &sms_send(NOBODY)).await;
    let grant = but(&sms_grant(NOBODY, &sent), json!({ "auto_signup": true }));
    let (status, tokens) = read(&server.post_token(json_request(&grant.to_string(), None)).await);
    assert_eq!(status, 200, "{tokens}");
    let asked = host.directory.calls.lock().unwrap().clone();
    for call in ["client", "auth_source", "user_by_address", "user_by_subject", "user_claims", "sign_up"] {
        assert!(asked.contains(&call), "{call}");
    }
}

#[tokio::test]
async fn their_errors_reach_the_observer_as_they_are() {
    let Erased { host, server } = erased();
    host.store.down.store(true, SeqCst);
    let reply = server.post_send(json_request(&sms_send(PHONE).to_string(), None)).await.unwrap_err();
    assert_eq!(reply.status(), 503);
    let told = host.counters.told.lock().unwrap().join("\n");
    assert!(told.contains("StoreFailed") && told.contains("Broken"), "{told}");

    let store = ErasedStore::new(Arc::clone(&host.store));
    let error = store.load(&RecordKey::from_bytes([0; RecordKey::LEN])).await.unwrap_err();
    assert_eq!(error.to_string(), Broken.to_string());
    assert_eq!(error.get_ref().downcast_ref::<Broken>(), Some(&Broken));
}
