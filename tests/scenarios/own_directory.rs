//! A host's own clients and users: separate stores for clients and users, refused sign-ups, claims of the host's own in
//! access tokens, and scopes that the host does not grant to a user.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use otp_grant::directory::{
    ClientRegistry, CustomClaims, ErasedDirectory, InvalidClaim, SignUp, UserClaims, UserStore,
};
use otp_grant::jwt::{AccessTokenProfile, Audience};
use otp_grant::time::Clock;
use otp_grant::*;
use otp_grant_tests::*;
use serde_json::{Value, json};

/// The users of a host whose clients are kept elsewhere.
struct Users {
    known: MemoryDirectory,
    claims: Mutex<CustomClaims>,
    /// The scope that every user is granted, if it is less than the requested one.
    granted: Mutex<Option<Option<Scope>>>,
    /// The calls of the hooks.
    asked: Mutex<Vec<String>>,
    down: AtomicBool,
}

#[derive(Debug)]
struct Down;

impl std::fmt::Display for Down {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("down")
    }
}

impl std::error::Error for Down {}

impl UserStore for Users {
    type Error = Down;

    async fn user_by_address(&self, address: &Address) -> Result<Option<User>, Down> {
        self.known.user_by_address(address).await.map_err(|_| Down)
    }

    async fn user_by_subject(&self, subject: &Subject) -> Result<Option<User>, Down> {
        self.known.user_by_subject(subject).await.map_err(|_| Down)
    }

    async fn user_claims(&self, subject: &Subject, client: &ClientId, scope: &Scope) -> Result<UserClaims, Down> {
        self.known.user_claims(subject, client, scope).await.map_err(|_| Down)
    }

    async fn sign_up(&self, _: &Address) -> Result<SignUp, Down> {
        self.asked.lock().unwrap().push("sign_up".to_owned());
        Ok(SignUp::Refused)
    }

    async fn granted_scope(&self, user: &User, client: &ClientId, requested: Scope) -> Result<Option<Scope>, Down> {
        let asked = format!("scope {} {} {}", user.subject.as_str(), client.as_str(), requested.as_str());
        self.asked.lock().unwrap().push(asked);
        if self.down.load(SeqCst) {
            return Err(Down);
        }
        Ok(self.granted.lock().unwrap().clone().unwrap_or(Some(requested)))
    }

    async fn access_token_claims(
        &self,
        subject: &Subject,
        client: &ClientId,
        scope: &Scope,
    ) -> Result<CustomClaims, Down> {
        let asked = format!("claims {} {} {}", subject.as_str(), client.as_str(), scope.as_str());
        self.asked.lock().unwrap().push(asked);
        if self.down.load(SeqCst) { Err(Down) } else { Ok(self.claims.lock().unwrap().clone()) }
    }
}

/// The clients of a file. Reading them can't fail.
struct Registry(MemoryDirectory);

impl ClientRegistry for Registry {
    type Error = Infallible;

    async fn client(&self, id: &ClientId) -> Result<Option<Arc<Client>>, Infallible> {
        Ok(self.0.client(id).await.unwrap())
    }

    async fn auth_source(&self, id: &AuthSourceId) -> Result<Option<Arc<AuthSource>>, Infallible> {
        Ok(self.0.auth_source(id).await.unwrap())
    }
}

struct OwnHost {
    server: AuthorizationServer<MemoryStore, (Registry, Arc<Users>)>,
    users: Arc<Users>,
    clock: ManualClock,
}

impl OwnHost {
    fn new(settings: Settings) -> Self {
        let users = Arc::new(Users {
            known: sample_directory(),
            claims: Mutex::default(),
            granted: Mutex::default(),
            asked: Mutex::default(),
            down: AtomicBool::default(),
        });
        let clock = ManualClock::new();
        let key = SigningKey::from_pem(include_str!("../keys/es256_pkcs8.pem")).unwrap();
        let server = AuthorizationServer::builder(Issuer::new(ISSUER).unwrap(), keyring(), key)
            .settings(settings)
            .clock(clock.clone())
            .entropy(SeededEntropy::default())
            .build(MemoryStore::new(), (Registry(sample_directory()), Arc::clone(&users)))
            .unwrap();
        Self { server, users, clock }
    }

    async fn send(&self, phone: &str) -> Sent {
        self.clock.advance(secs(30));
        let body = sms_send(phone).to_string();
        let delivery = self.server.post_send(json_request(&body, None)).await.unwrap();
        let code = delivery.message().unwrap().code().expose_secret().to_owned();
        let reply: Value = serde_json::from_slice(delivery.accepted().body()).unwrap();
        Sent { otp_token: reply["otp_token"].as_str().unwrap().to_owned(), code, reply }
    }

    async fn redeem(&self, phone: &str, sent: &Sent, changes: Value) -> (u16, Value) {
        let body = but(&sms_grant(phone, sent), changes).to_string();
        read(&self.server.post_token(json_request(&body, None)).await)
    }

    async fn log_in(&self, changes: Value) -> (u16, Value) {
        let sent = self.send(PHONE).await;
        self.redeem(PHONE, &sent, changes).await
    }

    async fn refresh(&self, said: &Value, changes: &[(&str, &str)]) -> (u16, Value) {
        let parameters = [("grant_type", "refresh_token"), ("refresh_token", text(said, "refresh_token"))];
        let body = form(&parameters, changes);
        read(&self.server.post_token(form_request(&body, None)).await)
    }

    async fn introspect(&self, token: &str) -> Value {
        let body = form(&[("token", token)], &[]);
        read(&self.server.post_introspect(form_request(&body, None)).await).1
    }

    fn grant_only(&self, scope: Option<&str>) {
        *self.users.granted.lock().unwrap() = Some(scope.map(|scope| Scope::parse(scope).unwrap()));
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.users.asked.lock().unwrap())
    }
}

#[tokio::test]
async fn a_registry_and_a_store_of_users_are_a_directory() {
    let host = OwnHost::new(Settings::default());
    let (status, said) = host.log_in(json!({ "scope": "openid profile" })).await;
    assert_eq!((status, &said["scope"]), (200, &json!("openid profile")));
    assert_eq!(payload(text(&said, "access_token"))["sub"], "MOCK_USER_ID");
    let granted = "MOCK_USER_ID TENANT_CLIENT_ID openid profile";
    assert_eq!(host.asked(), [format!("scope {granted}"), format!("claims {granted}")]);
}

#[tokio::test]
async fn a_directory_that_is_chosen_at_run_time_decides_as_it_does_itself() {
    let users = OwnHost::new(Settings::default()).users;
    let directory = ErasedDirectory::new((Registry(sample_directory()), Arc::clone(&users)));
    *users.claims.lock().unwrap() = CustomClaims::new().with("tenant", "acme").unwrap();
    *users.granted.lock().unwrap() = Some(Some(Scope::parse("openid").unwrap()));
    let (user, client) =
        (User::new(Subject::new("MOCK_USER_ID").unwrap(), UserStatus::Active), ClientId::new(CLIENT).unwrap());
    let requested = Scope::parse("openid profile").unwrap();
    let granted = directory.granted_scope(&user, &client, requested.clone()).await.unwrap();
    assert_eq!(granted, Some(Scope::parse("openid").unwrap()));
    let claims = directory.access_token_claims(&user.subject, &client, &requested).await.unwrap();
    assert_eq!((claims.get("tenant"), claims.get("other")), (Some(&json!("acme")), None));
    assert!(!claims.is_empty() && CustomClaims::new().is_empty());
    assert_eq!(format!("{claims:?}"), r#"{"tenant"}"#);
    users.down.store(true, SeqCst);
    assert!(directory.granted_scope(&user, &client, requested.clone()).await.is_err());
    assert!(directory.access_token_claims(&user.subject, &client, &requested).await.is_err());
}

#[tokio::test]
async fn a_sign_up_that_is_refused_is_answered_like_a_user_who_is_not_there() {
    let host = OwnHost::new(Settings::default());
    let sent = host.send(NOBODY).await;
    let unknown = host.redeem(NOBODY, &sent, json!({})).await;
    assert!(host.asked().is_empty());
    assert_eq!(host.redeem(NOBODY, &sent, json!({ "auto_signup": true })).await, unknown);
    assert_eq!(host.asked(), ["sign_up"]);
    assert_eq!(unknown, error(400, "invalid_grant", "User not found"));
}

#[tokio::test]
async fn a_client_without_sign_up_is_answered_as_if_it_had_not_asked() {
    let source = AuthSourceId::new("MOCK_SMS_OTP_AUTH_SOURCE_ID").unwrap();
    let client =
        |name: &str| Client::public(ClientId::new(name).unwrap()).with_sending().with_auth_source(source.clone());
    let directory =
        sample_directory().with_client(client("KIOSK").without_sign_up()).with_client(client("APPLICATION"));
    let key = SigningKey::from_pem(include_str!("../keys/es256_pkcs8.pem")).unwrap();
    let host = Host::with_directory(Settings::default(), key, directory);
    for (name, may) in [("KIOSK", false), ("APPLICATION", true)] {
        host.advance(secs(60));
        let send = but(&sms_send(NOBODY), json!({ "client_id": name, "client_secret": null }));
        let sent = host.send(&send).await;
        let grant = but(&sms_grant(NOBODY, &sent), json!({ "client_id": name, "client_secret": null }));
        let without = host.token(&grant).await;
        assert_eq!(without, error(400, "invalid_grant", "User not found"));
        host.directory.calls.lock().unwrap().clear();
        let (status, said) = host.token(&but(&grant, json!({ "auto_signup": true }))).await;
        assert_eq!(host.directory.calls.lock().unwrap().contains(&"sign_up"), may, "{name}");
        match may {
            true => assert_eq!(status, 200, "{said}"),
            false => assert_eq!((status, said), without),
        }
    }
}

#[tokio::test]
async fn claims_of_the_host_are_in_access_tokens_and_nowhere_else() {
    let rfc_9068 = AccessTokenProfile::Rfc9068 { audience: "https://api.example.com".to_owned() };
    for settings in [Settings::default(), settings(|s| s.access_token_profile = rfc_9068)] {
        let host = OwnHost::new(settings);
        let before = host.log_in(json!({})).await.1;
        let claims = CustomClaims::new().with("tenant", "acme").unwrap().with("roles", json!(["admin"])).unwrap();
        *host.users.claims.lock().unwrap() = claims.clone();
        let login = host.log_in(json!({})).await.1;
        let refreshed = host.refresh(&before, &[]).await.1;
        for said in [&login, &refreshed] {
            let token = text(said, "access_token");
            let said_by_token = payload(token);
            assert_eq!((&said_by_token["tenant"], &said_by_token["roles"]), (&json!("acme"), &json!(["admin"])));
            assert_eq!(payload(text(said, "id_token"))["tenant"], Value::Null);
            let read = host.server.call_check_access_token(token, Audience::EveryClient).await.unwrap();
            assert_eq!(read.custom, claims);
            assert_eq!(read.custom.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["roles", "tenant"]);
            let introspected = host.introspect(token).await;
            assert_eq!((&introspected["active"], &introspected["tenant"]), (&json!(true), &Value::Null));
        }
        // A token has the members that it had before, and these two.
        let count = |said: &Value| payload(text(said, "access_token")).as_object().unwrap().len();
        assert_eq!(count(&login), count(&before) + 2);
        let read = host.server.verify_access_token(text(&before, "access_token"), Audience::EveryClient).unwrap();
        assert!(read.custom.is_empty());
    }
}

#[test]
fn a_claim_that_has_a_meaning_already_is_refused_without_being_repeated() {
    for name in [
        "iss",
        "sub",
        "aud",
        "exp",
        "nbf",
        "iat",
        "jti",
        "client_id",
        "scope",
        "auth_time",
        "acr",
        "amr",
        "azp",
        "sid",
        "cnf",
        "nonce",
        "at_hash",
        "act",
        "may_act",
        "email",
        "phone_number_verified",
        "name",
        "name#de",
        "sub#de",
    ] {
        let refused = CustomClaims::new().with(name, "MOCK").unwrap_err();
        assert_eq!(refused, InvalidClaim::Reserved, "{name}");
        assert!(!format!("{refused} {refused:?}").contains("MOCK"));
    }
    for name in ["", "a\nb", "\u{7f}"] {
        assert_eq!(CustomClaims::new().with(name, 1), Err(InvalidClaim::Name), "{name:?}");
    }
    let claims = CustomClaims::new().with("tenant", "SECRET_TENANT").unwrap();
    assert!(!format!("{claims:?}").contains("SECRET_TENANT"));
}

#[tokio::test]
async fn claims_of_the_host_are_at_most_a_kilobyte_and_every_one_of_them_can_be_read() {
    // {"a":"…"}
    let largest = CustomClaims::new().with("a", "x".repeat(1024 - 8)).unwrap();
    assert_eq!(CustomClaims::new().with("a", "x".repeat(1024 - 7)), Err(InvalidClaim::TooLarge));
    assert_eq!(largest.clone().with("b", 1), Err(InvalidClaim::TooLarge));
    let nested = |levels: usize| (1..levels).fold(json!(1), |inner, _| json!([inner]));
    let members = |levels: usize| (1..levels).fold(json!(1), |inner, _| json!({ "a": inner }));
    assert!(CustomClaims::new().with("a", members(8)).is_ok());
    for too_deep in [nested(9), members(9)] {
        assert_eq!(CustomClaims::new().with("a", too_deep), Err(InvalidClaim::TooLarge));
    }
    assert_eq!(CustomClaims::new().with("a", nested(1_000)), Err(InvalidClaim::TooLarge));
    let deepest = CustomClaims::new().with("a", nested(8)).unwrap().with("é\"", json!({ "b": null })).unwrap();
    let host = OwnHost::new(Settings::default());
    for claims in [largest, deepest] {
        *host.users.claims.lock().unwrap() = claims.clone();
        let said = host.log_in(json!({})).await.1;
        let read = host.server.verify_access_token(text(&said, "access_token"), Audience::EveryClient).unwrap();
        assert_eq!(read.custom, claims);
    }
}

#[tokio::test]
async fn a_user_is_granted_less_than_the_client_asked_for_and_never_more() {
    let host = OwnHost::new(Settings::default());
    host.grant_only(Some("email openid admin"));
    let (status, login) = host.log_in(json!({ "scope": "openid profile email" })).await;
    assert_eq!((status, &login["scope"]), (200, &json!("openid email")));
    assert_eq!(payload(text(&login, "access_token"))["scope"], json!(["openid", "email"]));
    // A refresh does not bring back the scopes that the login left out.
    host.grant_only(Some("openid profile email admin"));
    let (status, refreshed) = host.refresh(&login, &[]).await;
    assert_eq!((status, &refreshed["scope"]), (200, &json!("openid email")));

    // A later refresh brings back the scopes that this refresh leaves out.
    host.grant_only(Some("email admin"));
    let (status, narrowed) = host.refresh(&refreshed, &[]).await;
    assert_eq!((status, &narrowed["scope"]), (200, &json!("email")));
    assert_eq!(narrowed.get("id_token"), None);
    assert_eq!(host.introspect(text(&narrowed, "refresh_token")).await["scope"], "email");
    host.grant_only(Some("openid email"));
    let (status, widened) = host.refresh(&narrowed, &[]).await;
    assert_eq!((status, &widened["scope"]), (200, &json!("openid email")));
    // A client that requests a part gets at most that part.
    let (status, part) = host.refresh(&widened, &[("scope", "email")]).await;
    assert_eq!((status, &part["scope"]), (200, &json!("email")));
}

#[tokio::test]
async fn a_user_who_is_granted_nothing_gets_no_tokens() {
    let host = OwnHost::new(Settings::default());
    let login = host.log_in(json!({})).await.1;
    for granted in [None, Some("admin")] {
        host.grant_only(granted);
        let sent = host.send(PHONE).await;
        assert_eq!(host.redeem(PHONE, &sent, json!({})).await, error(400, "invalid_scope", ""));
        assert_eq!(host.refresh(&login, &[]).await, error(400, "invalid_scope", ""));
        assert_eq!(host.introspect(text(&login, "refresh_token")).await, json!({ "active": false }));
        // The code and the refresh token stay good.
        *host.users.granted.lock().unwrap() = None;
        assert_eq!(host.redeem(PHONE, &sent, json!({})).await.0, 200);
    }
    assert_eq!(host.refresh(&login, &[]).await.0, 200);
}

#[tokio::test]
async fn the_hooks_are_asked_last_and_only_about_users_who_may_log_in() {
    let host = OwnHost::new(Settings::default());
    host.grant_only(None);
    // The answer to a scope that the client may not request, to a wrong code or to a locked user comes first.
    assert_eq!(host.log_in(json!({ "scope": "admin" })).await, error(400, "invalid_scope", ""));
    let sent = host.send(PHONE).await;
    assert_eq!(host.redeem(PHONE, &sent, json!({ "otp": wrong(&sent.code) })).await.1["attempts_remaining"], 4);
    let sent = host.send(LOCKED_PHONE).await;
    let locked = host.redeem(LOCKED_PHONE, &sent, json!({})).await;
    assert_eq!(locked, error(400, "invalid_grant", "Abnormal user status"));
    assert!(host.asked().is_empty());
}

#[tokio::test]
async fn a_hook_that_fails_gives_the_guess_back() {
    let host = OwnHost::new(Settings::default());
    let login = host.log_in(json!({})).await.1;
    let sent = host.send(PHONE).await;
    host.users.down.store(true, SeqCst);
    for _ in 0..30 {
        assert_eq!(host.redeem(PHONE, &sent, json!({})).await.0, 503);
    }
    assert_eq!(host.refresh(&login, &[]).await.0, 503);
    host.users.down.store(false, SeqCst);
    assert_eq!(host.redeem(PHONE, &sent, json!({})).await.0, 200);
    assert_eq!(host.refresh(&login, &[]).await.0, 200);
}

#[tokio::test]
async fn an_answer_that_is_repeated_is_narrowed_again() {
    let host = OwnHost::new(settings(|s| s.repeat_answer_within = secs(30)));
    let sent = host.send(PHONE).await;
    let scope = json!({ "scope": "openid email" });
    assert_eq!(host.redeem(PHONE, &sent, scope.clone()).await.1["scope"], "openid email");
    host.grant_only(Some("email"));
    assert_eq!(host.redeem(PHONE, &sent, scope).await.1["scope"], "email");
}

#[tokio::test]
async fn tokens_say_when_and_how_the_user_logged_in_under_rfc_9068_or_where_the_host_wants_it() {
    let rfc_9068 = AccessTokenProfile::Rfc9068 { audience: "https://api.example.com".to_owned() };
    let all = [
        (Settings::default(), false),
        (settings(|s| s.authentication_claims = true), true),
        (settings(|s| s.access_token_profile = rfc_9068), true),
    ];
    for (settings, tells) in all {
        let host = OwnHost::new(settings);
        let login = host.log_in(json!({})).await.1;
        let logged_in_at = host.clock.now();
        host.clock.advance(secs(100));
        let refreshed = host.refresh(&login, &[]).await.1;
        for said in [&login, &refreshed] {
            let (auth_time, amr) = match tells {
                true => (json!(logged_in_at.as_unix_secs()), json!(["otp", "sms"])),
                false => (Value::Null, Value::Null),
            };
            let token = text(said, "access_token");
            let of_token = payload(token);
            assert_eq!((&of_token["auth_time"], &of_token["amr"]), (&auth_time, &amr));
            let read = host.server.verify_access_token(token, Audience::EveryClient).unwrap();
            assert_eq!(read.auth_time, tells.then_some(logged_in_at));
            assert_eq!(read.amr, if tells { vec!["otp", "sms"] } else { vec![] });
            assert!(read.custom.is_empty());
            for token in [token, text(&refreshed, "refresh_token")] {
                let introspected = host.introspect(token).await;
                assert_eq!(introspected["active"], true);
                assert_eq!((&introspected["auth_time"], &introspected["amr"]), (&auth_time, &amr));
            }
        }
    }
}
