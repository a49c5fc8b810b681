//! What the host hears.

use super::*;

/// `Event`: each event is told when what it describes happens.
#[tokio::test]
async fn the_observer_hears_of_each_thing_that_happens() {
    let (host, log) = listening(hosted(small(), 240), small(), es256());
    let send = sms_send(PHONE);
    let sent = host.send(&send).await;
    assert_eq!(log.names(), ["Sent"]);
    host.refused_send(&by_spa(&send)).await;
    assert_eq!(log.names(), ["Throttled"]);
    miss(&host, &send, &sent).await;
    assert_eq!(log.names(), ["WrongCode"]);
    let said = host.token(&grant(&send, &sent, &sent.code)).await.1;
    assert_eq!(log.names(), ["LoggedIn"]);
    present(&host, &send, &sent, &sent.code).await;
    assert_eq!(log.names(), ["Exhausted"]);
    let (first, access) = tokens_of(&said);
    let second = refresh(&host, &first).await.0;
    assert_eq!(log.names(), ["Refreshed"]);
    for _ in 0..2 {
        let _ = host.revoke(&access, &[]).await;
    }
    assert_eq!(log.names(), ["AccessTokenRevoked"]);
    host.advance(secs(10));
    host.refresh(&first).await;
    host.refresh(&second).await;
    assert_eq!(log.names(), ["ReuseDetected"]);
    let said = host.log_in(json!({})).await;
    log.names();
    let _ = host.revoke(text(&said, "refresh_token"), &[]).await;
    assert_eq!(log.names(), ["SessionRevoked"]);

    // An expired code, a sign-up, a verification.
    host.advance(secs(10));
    let send = purpose(&sms_send(PHONE), Usage::ResetPassword);
    let sent = host.send(&send).await;
    host.advance(secs(60));
    assert_eq!(present(&host, &send, &sent, &sent.code).await, Outcome::Wrong(2));
    let sent = host.send(&send).await;
    assert_eq!(present(&host, &send, &sent, &sent.code).await, Outcome::In);
    assert_eq!(log.names(), ["Sent", "WrongCode", "Sent", "Verified"]);
    host.log_in_by(&sms_send(NOBODY), json!({ "auto_signup": true })).await;
    assert_eq!(log.names(), ["Sent", "SignedUp", "LoggedIn"]);

    // A client that does not prove its identity, at each endpoint.
    let nobody = [("client_secret", "guess")];
    host.refused_send(&but(&send, json!({ "client_secret": "guess" }))).await;
    host.refresh_with(&first, &nobody).await;
    let _ = (host.revoke(&first, &nobody).await, host.introspect(&first, &nobody).await);
    assert_eq!(log.names(), ["ClientRefused"; 4]);

    // The work of the host's own parts.
    host.advance(secs(10));
    let delivery = raw_send(&host, &sms_send(PHONE)).await.unwrap();
    let _ = host.server.call_delivery_failed(delivery, DeliveryFailure::AddressRefused).await;
    assert_eq!(log.names(), ["Sent", "DeliveryFailed"]);
    host.store.down.store(true, SeqCst);
    host.refused_send(&sms_send(LOCKED_PHONE)).await;
    assert!(log.names().iter().all(|name| name == "StoreFailed"));
    host.store.down.store(false, SeqCst);
    let sent = host.send(&sms_send(LOCKED_PHONE)).await;
    host.directory.down.store(true, SeqCst);
    assert_eq!(present(&host, &sms_send(LOCKED_PHONE), &sent, &sent.code).await, Outcome::Unavailable);
    assert_eq!(log.names(), ["Sent", "DirectoryFailed"]);
}

/// `Event`: "An address appears as the key of its record. The key is the same for the same address and reveals nothing
/// more. Secrets do not appear at all."
#[tokio::test]
async fn events_name_an_address_by_one_key_and_hold_no_secret() {
    let (host, log) = listening(hosted(small(), 240), small(), es256());
    let send = email_send("Ada@example.org");
    let mut secrets = vec!["ada".to_owned(), "example.org".to_owned(), "TENANT_CLIENT_SECRET".to_owned()];
    for send in [send.clone(), by_spa(&send), purpose(&send, Usage::Signup)] {
        let sent = host.send(&send).await;
        miss(&host, &send, &sent).await;
        present(&host, &send, &sent, &sent.code).await;
        secrets.extend([sent.otp_token, format!("\"{}\"", sent.code)]);
        host.advance(secs(10));
    }
    let said = host.log_in_by(&send, json!({ "grant_type": EMAIL_GRANT_TYPE, "auto_signup": true })).await;
    let (token, access) = tokens_of(&said);
    let (_, again) = host.refresh(&token).await;
    secrets.extend([token, access, text(&again, "refresh_token").to_owned(), text(&said, "id_token").to_owned()]);
    let events = log.0.lock().unwrap().clone();
    let key = |event: &String| {
        event.split_once("address: ").map(|(_, rest)| rest.split([',', ' ', '}']).next().unwrap().to_owned())
    };
    assert_eq!(events.iter().filter_map(key).collect::<BTreeSet<_>>().len(), 1, "{events:?}");
    for secret in &secrets {
        assert!(!events.iter().any(|event| event.contains(secret.as_str())), "{secret}");
    }
}

/// A directory that signs no user up.
struct Closed(MemoryDirectory);

impl ClientRegistry for Closed {
    type Error = EntropyUnavailable;

    async fn client(&self, id: &ClientId) -> Result<Option<Arc<Client>>, Self::Error> {
        self.0.client(id).await
    }

    async fn auth_source(&self, id: &AuthSourceId) -> Result<Option<Arc<AuthSource>>, Self::Error> {
        self.0.auth_source(id).await
    }
}

impl UserStore for Closed {
    type Error = EntropyUnavailable;

    async fn user_by_address(&self, address: &Address) -> Result<Option<User>, Self::Error> {
        self.0.user_by_address(address).await
    }

    async fn user_by_subject(&self, subject: &Subject) -> Result<Option<User>, Self::Error> {
        self.0.user_by_subject(subject).await
    }

    async fn user_claims(
        &self,
        subject: &Subject,
        client: &ClientId,
        scope: &Scope,
    ) -> Result<UserClaims, Self::Error> {
        self.0.user_claims(subject, client, scope).await
    }

    async fn sign_up(&self, _address: &Address) -> Result<SignUp, Self::Error> {
        Ok(SignUp::Refused)
    }
}

/// Random bytes that run out.
#[derive(Clone, Default)]
struct Exhaustible(SeededEntropy, Arc<AtomicBool>);

impl Entropy for Exhaustible {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), EntropyUnavailable> {
        if self.1.load(SeqCst) { Err(EntropyUnavailable) } else { self.0.fill(buffer) }
    }
}

/// `SignUp::Refused`: "The address may not sign up. The server answers `User not found`, as if there were no sign-up."
/// `Event::Faulted`: "There were no random bytes"
#[tokio::test]
async fn a_directory_that_refuses_a_sign_up_is_told_as_no_such_user_and_no_random_bytes_as_a_503() {
    let (entropy, log) = (Exhaustible::default(), Log::default());
    let server = AuthorizationServer::builder(Issuer::new(ISSUER).unwrap(), keyring(), es256())
        .settings(small())
        .entropy(entropy.clone())
        .observer(log.clone())
        .build(MemoryStore::new(), Closed(sample_directory()))
        .unwrap();
    let send = sms_send(NOBODY);
    let body = send.to_string();
    let delivery = server.post_send(json_request(&body, None)).await.unwrap();
    let code = delivery.message().unwrap().code().expose_secret().to_owned();
    let reply = read(&delivery.accepted()).1;
    let sent = Sent { otp_token: text(&reply, "otp_token").to_owned(), code, reply };
    let body = but(&grant(&send, &sent, &sent.code), json!({ "auto_signup": true })).to_string();
    log.names();
    entropy.1.store(true, SeqCst);
    for _ in 0..10 {
        assert_eq!(server.post_token(json_request(&body, None)).await.status(), 503);
    }
    assert!(log.names().iter().all(|name| name == "Faulted"));
    entropy.1.store(false, SeqCst);
    let refused = error(400, "invalid_grant", "User not found");
    for _ in 0..3 {
        assert_eq!(read(&server.post_token(json_request(&body, None)).await), refused);
    }
}
