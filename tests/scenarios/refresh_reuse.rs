//! A refresh token that is used again: as a retry inside the window, as a replay that ends the session, in fifty
//! parallel requests, and under each refresh policy.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use futures::future::join_all;
use otp_grant::grant::Grant;
use otp_grant::jwt::Audience;
use otp_grant::server::AccessTokenCheckError;
use otp_grant::session::{InvalidRefreshPolicy, RefreshPolicy};
use otp_grant::*;
use otp_grant_tests::*;
use serde_json::{Value, json};

type Credentials = [(&'static str, &'static str); 2];

const TENANT: Credentials = [("client_id", "TENANT_CLIENT_ID"), ("client_secret", "TENANT_CLIENT_SECRET")];
const SIXTY: Credentials =
    [("client_id", "SIXTY_SECONDS_CLIENT_ID"), ("client_secret", "SIXTY_SECONDS_CLIENT_ID_SECRET")];
const STABLE: Credentials = [("client_id", "STABLE_CLIENT_ID"), ("client_secret", "STABLE_CLIENT_ID_SECRET")];
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A login by one client, and every access token that the client got.
struct Login {
    host: Host,
    client: Credentials,
    first: String,
    access_tokens: Vec<String>,
}

impl Login {
    async fn of(client: Credentials) -> Self {
        Self::at(Host::new(), client).await
    }

    async fn at(host: Host, client: Credentials) -> Self {
        let credentials = json!({ "client_id": client[0].1, "client_secret": client[1].1 });
        let said = host.log_in_by(&but(&sms_send(PHONE), credentials), json!({})).await;
        let (first, access) = (text(&said, "refresh_token").to_owned(), text(&said, "access_token").to_owned());
        Self { host, client, first, access_tokens: vec![access] }
    }

    async fn try_refresh(&self, token: &str) -> (u16, Value) {
        self.host.refresh_with(token, &self.client).await
    }

    /// Refreshes, and returns the refresh token of the answer.
    async fn refresh(&mut self, token: &str) -> String {
        let (status, said) = self.try_refresh(token).await;
        assert_eq!(status, 200, "{said}");
        let access = text(&said, "access_token").to_owned();
        assert!(!self.access_tokens.contains(&access) && self.is_active(&access).await);
        self.access_tokens.push(access);
        text(&said, "refresh_token").to_owned()
    }

    async fn refuse(&self, token: &str) {
        let refused = error(400, "invalid_grant", "Unknown or expired refresh_token");
        assert_eq!(self.try_refresh(token).await, refused);
    }

    async fn is_active(&self, token: &str) -> bool {
        read(&self.host.introspect(token, &self.client).await).1["active"].as_bool().unwrap()
    }

    fn reuses(&self) -> usize {
        self.host.counters.reuses.load(SeqCst)
    }

    /// The session goes on, and so does each of its access tokens.
    async fn assert_alive(&mut self, newest: &str) -> String {
        for token in &self.access_tokens {
            assert!(self.is_active(token).await);
        }
        assert_eq!(self.reuses(), 0);
        self.refresh(newest).await
    }

    /// A replay ends the session with all its tokens, and the observer hears of it once.
    async fn assert_replay_revokes(&self, replayed: &str, newest: &str) {
        assert_eq!(self.reuses(), 0);
        self.refuse(replayed).await;
        assert_eq!(self.reuses(), 1);
        for token in &self.access_tokens {
            assert!(!self.is_active(token).await);
            assert_eq!(self.host.userinfo(token).await.status(), 401);
            let checked = self.host.server.call_check_access_token(token, Audience::EveryClient).await;
            assert_eq!(checked, Err(AccessTokenCheckError::Revoked));
        }
        for token in [newest, replayed, &self.first, newest] {
            self.refuse(token).await;
            assert!(!self.is_active(token).await);
        }
        // The session was already over.
        assert_eq!((self.reuses(), self.host.counters.revocations.load(SeqCst)), (1, 0));
    }
}

#[tokio::test]
async fn a_retry_inside_the_window_gets_the_same_successor_with_fresh_tokens() {
    let mut login = Login::of(TENANT).await;
    let first = login.first.clone();
    let second = login.refresh(&first).await;
    assert_ne!(first, second);
    let mut jtis = BTreeSet::new();
    // 0.001, 1, 5, 9 and 9.999 s after the rotation.
    for step in [1, 999, 4000, 4000, 999] {
        login.host.advance(millis(step));
        let (status, said) = login.try_refresh(&first).await;
        assert_eq!((status, text(&said, "refresh_token")), (200, second.as_str()));
        for token in [text(&said, "access_token"), text(&said, "id_token")] {
            assert!(jtis.insert(payload(token)["jti"].to_string()), "a jti was given twice");
        }
        login.access_tokens.push(text(&said, "access_token").to_owned());
    }
    // Each retry got an ordinary answer, and the successor is as good as before.
    assert_eq!(login.host.counters.refreshes.load(SeqCst), 6);
    login.assert_alive(&second).await;
}

#[tokio::test]
async fn the_window_is_over_at_its_instant_however_often_it_was_used() {
    for (client, window) in [(TENANT, 10_000), (SIXTY, 60_000)] {
        for retries in [&[][..], &[window - 1000], &[1, window / 2, window - 1]] {
            let mut login = Login::of(client).await;
            let first = login.first.clone();
            let second = login.refresh(&first).await;
            let mut at = 0;
            for retry in retries {
                login.host.advance(millis(retry - at));
                at = *retry;
                assert_eq!(login.refresh(&first).await, second);
            }
            login.host.advance(millis(window - at));
            login.assert_replay_revokes(&first, &second).await;
        }
    }
}

#[tokio::test]
async fn a_replay_long_after_the_window_revokes_as_well() {
    let mut login = Login::of(TENANT).await;
    let first = login.first.clone();
    let second = login.refresh(&first).await;
    login.host.advance(DAY * 13);
    login.access_tokens.clear();
    let third = login.refresh(&second).await;
    login.host.advance(secs(10));
    let other = login.host.log_in(json!({})).await;
    login.assert_replay_revokes(&second, &third).await;
    // Only this session is over. Another session of the same user goes on.
    assert!(login.is_active(text(&other, "access_token")).await);
    assert_eq!(login.try_refresh(text(&other, "refresh_token")).await.0, 200);
}

#[tokio::test]
async fn a_predecessor_whose_successor_was_used_revokes_inside_the_window() {
    for retried in [false, true] {
        let mut login = Login::of(TENANT).await;
        let first = login.first.clone();
        let second = login.refresh(&first).await;
        if retried {
            assert_eq!(login.refresh(&first).await, second);
        }
        let third = login.refresh(&second).await;
        login.host.advance(secs(1));
        // The direct predecessor is still inside its own window.
        assert_eq!(login.refresh(&second).await, third);
        login.assert_replay_revokes(&first, &third).await;
    }
}

#[tokio::test]
async fn every_older_generation_revokes_at_once() {
    for generation in 0..4 {
        let mut login = Login::of(SIXTY).await;
        let mut generations = vec![login.first.clone()];
        for _ in 0..5 {
            let newest = login.refresh(&generations[generations.len() - 1]).await;
            generations.push(newest);
        }
        login.assert_replay_revokes(&generations[generation], &generations[5]).await;
    }
}

#[tokio::test]
async fn a_replay_revokes_whatever_else_is_wrong() {
    for wrong in ["locked", "deleted", "directory", "scope"] {
        let mut login = Login::of(TENANT).await;
        let first = login.first.clone();
        let second = login.refresh(&first).await;
        login.host.advance(secs(10));
        match wrong {
            "locked" => put_user(&login.host, UserStatus::Locked),
            "deleted" => login.host.directory.inner.remove_user(&Subject::new("MOCK_USER_ID").unwrap()),
            "directory" => login.host.directory.down.store(true, SeqCst),
            _ => (),
        }
        let scope = if wrong == "scope" { "no such scope" } else { "" };
        let refused = error(400, "invalid_grant", "Unknown or expired refresh_token");
        assert_eq!(login.host.refresh_with(&first, &[("scope", scope)]).await, refused, "{wrong}");
        assert_eq!(login.reuses(), 1);
        // The session is over. Its user can log in again.
        login.host.directory.down.store(false, SeqCst);
        put_user(&login.host, UserStatus::Active);
        login.refuse(&second).await;
        assert!(!login.is_active(&login.access_tokens[1]).await);
    }
}

fn put_user(host: &Host, status: UserStatus) {
    host.directory.inner.put_user(User::new(Subject::new("MOCK_USER_ID").unwrap(), status));
}

#[tokio::test]
async fn a_replay_at_a_host_whose_clock_is_ahead_of_the_idle_end_revokes() {
    let validity = session_validity(secs(1800), DAY);
    let settings = || settings(|s| s.session_validity = validity);
    for (ahead, reuses) in [(millis(1), 1), (secs(5), 1), (secs(5) + millis(1), 0)] {
        let mut login = Login::at(Host::with(settings()), TENANT).await;
        let first = login.first.clone();
        login.host.advance(secs(60));
        let second = login.refresh(&first).await;
        // The time is a millisecond before the end of the session by one clock, and after it by the other.
        login.host.advance(secs(1800) - millis(1));
        login.host.advance(ahead);
        login.refuse(&first).await;
        assert_eq!(login.host.counters.reuses.load(SeqCst), reuses, "{ahead:?}");
        login.host.clock.set_back(ahead);
        assert_eq!(login.try_refresh(&second).await.0 == 400, reuses == 1, "{ahead:?}");
    }
}

#[tokio::test]
async fn one_fault_of_the_store_neither_hides_a_replay_nor_keeps_its_session_alive() {
    for fault in [Mishap::FailBefore, Mishap::FailAfter, Mishap::Late, Mishap::Twice, Mishap::Slow] {
        let mut login = Login::of(TENANT).await;
        let first = login.first.clone();
        let second = login.refresh(&first).await;
        login.host.advance(secs(10));
        login.host.store.fault(1, fault);
        login.assert_replay_revokes(&first, &second).await;
    }
}

#[tokio::test]
async fn a_replay_that_the_store_could_not_write_down_is_told_and_revokes_at_the_next_try() {
    for fault in [Mishap::FailBefore, Mishap::FailAfter, Mishap::Late] {
        let mut login = Login::of(TENANT).await;
        let first = login.first.clone();
        let second = login.refresh(&first).await;
        login.host.advance(secs(10));
        login.host.store.fault(1, fault);
        login.host.store.fault(2, Mishap::FailBefore);
        login.host.counters.told.lock().unwrap().clear();
        let (status, said) = login.try_refresh(&first).await;
        assert_eq!(status, 503, "{fault:?}: {said}");
        login.host.store.heal();
        let told = login.host.counters.told.lock().unwrap().clone();
        let reuses: Vec<_> = told.iter().filter(|event| event.starts_with("ReuseDetected")).collect();
        assert!(reuses.len() == 1 && reuses[0].contains("has_ended: false"), "{fault:?}: {told:?}");
        login.refuse(&first).await;
        login.refuse(&second).await;
        assert!(!login.is_active(&login.access_tokens[1]).await);
    }
}

#[tokio::test]
async fn a_stable_token_stays_the_same_and_is_never_a_replay() {
    let mut login = Login::of(STABLE).await;
    let token = login.first.clone();
    for pause in [secs(0), secs(1), secs(10), secs(61), DAY, DAY * 13] {
        login.host.advance(pause);
        login.access_tokens.clear();
        assert_eq!(login.refresh(&token).await, token);
    }
    assert_eq!(login.assert_alive(&token).await, token);
}

#[tokio::test]
async fn a_stable_token_lives_while_it_is_used_and_ends_with_its_session() {
    // Each use moves the idle expiry, and the absolute expiry stays: the session is alive at 13, 26 and 29 days.
    let mut login = Login::of(STABLE).await;
    let token = login.first.clone();
    for pause in [DAY * 13, DAY * 13, DAY * 4 - millis(1)] {
        login.host.advance(pause);
        login.refresh(&token).await;
    }
    login.host.advance(millis(1));
    login.refuse(&token).await;
    assert!(!login.is_active(&token).await);
    // Unused, the session is over at 14 days.
    for (pause, alive) in [(DAY * 14 - millis(1), true), (DAY * 14, false)] {
        let login = Login::of(STABLE).await;
        login.host.advance(pause);
        assert_eq!(login.is_active(&login.first).await, alive);
        assert_eq!(login.try_refresh(&login.first).await.0, if alive { 200 } else { 400 });
    }
}

#[tokio::test]
async fn without_a_window_a_request_is_not_taken_for_its_own_replay() {
    // The swap was applied, and another request wrote over it before the outcome could be found out.
    let none = RefreshPolicy::Rotate { retry_window: Duration::ZERO };
    for fault in [Mishap::FailAfter, Mishap::Twice, Mishap::Overwritten] {
        let mut host = Host::new();
        change_client(&mut host, tenant().with_refresh_policy(none).unwrap());
        let mut login = Login::at(host, TENANT).await;
        let first = login.first.clone();
        login.host.store.fault(1, fault);
        let second = login.refresh(&first).await;
        let third = login.refresh(&second).await;
        login.host.store.fault(1, fault);
        login.assert_replay_revokes(&second, &third).await;
    }
}

#[test]
fn what_weakens_rotation_too_much_is_refused() {
    let window = |retry_window| RefreshPolicy::Rotate { retry_window };
    let public = || Client::public(ClientId::new("SPA").unwrap());
    assert_eq!(public().with_refresh_policy(RefreshPolicy::Stable).unwrap_err(), InvalidRefreshPolicy);
    assert!(public().with_refresh_policy(window(secs(60))).is_ok());
    assert!(tenant().with_refresh_policy(window(secs(60))).is_ok());
    for client in [public(), tenant()] {
        assert_eq!(client.with_refresh_policy(window(secs(60) + millis(1))).unwrap_err(), InvalidRefreshPolicy);
    }
    assert!(tenant().with_refresh_policy(RefreshPolicy::Stable).is_ok());
    assert_eq!(RefreshPolicy::default(), window(secs(10)));
}

fn tenant() -> Client {
    let id = |name| AuthSourceId::new(name).unwrap();
    Client::confidential(ClientId::new("TENANT_CLIENT_ID").unwrap(), ClientSecret::digest("TENANT_CLIENT_SECRET"))
        .with_auth_source(id("MOCK_SMS_OTP_AUTH_SOURCE_ID"))
        .with_scopes(Scope::parse("openid profile email offline_access").unwrap(), Scope::openid())
        .unwrap()
}

/// Replaces the configuration of a client. Sessions stay.
fn change_client(host: &mut Host, client: Client) {
    let inner = sample_directory().with_client(client);
    host.directory =
        Arc::new(TestDirectory { inner, down: false.into(), stalled: false.into(), calls: Default::default() });
    let key = SigningKey::from_pem(include_str!("../keys/es256_pkcs8.pem")).unwrap();
    host.server = AuthorizationServer::builder(Issuer::new(ISSUER).unwrap(), keyring(), key)
        .clock(host.clock.clone())
        .entropy(host.entropy.clone())
        .observer(host.counters.clone())
        .build(host.store.clone(), host.directory.clone())
        .unwrap();
}

#[tokio::test]
async fn a_policy_that_changes_takes_effect_at_the_next_use() {
    let stable = || tenant().with_refresh_policy(RefreshPolicy::Stable).unwrap();
    // From rotating to stable: the current token goes on and stays. A token that was superseded before is still a
    // replay.
    let mut login = Login::of(TENANT).await;
    let first = login.first.clone();
    let second = login.refresh(&first).await;
    login.host.advance(secs(10));
    change_client(&mut login.host, stable());
    let kept = login.refresh(&second).await;
    for token in [&second, &kept, &second] {
        login.host.advance(secs(61));
        assert_eq!(login.refresh(token).await, kept);
    }
    login.assert_replay_revokes(&first, &kept).await;

    // From stable to rotating: the token is superseded by its next use, with a window.
    let mut host = Host::new();
    change_client(&mut host, stable());
    let mut login = Login::at(host, TENANT).await;
    let first = login.first.clone();
    assert_eq!(login.refresh(&first).await, first);
    change_client(&mut login.host, tenant());
    let second = login.refresh(&first).await;
    assert_ne!(first, second);
    assert_eq!(login.refresh(&first).await, second);
    login.host.advance(secs(10));
    login.assert_replay_revokes(&first, &second).await;
}

#[tokio::test]
async fn a_window_that_changes_does_not_move_one_that_is_open() {
    let window = |seconds| tenant().with_refresh_policy(RefreshPolicy::Rotate { retry_window: secs(seconds) }).unwrap();
    for (opened, changed) in [(10, 60), (60, 10)] {
        let mut host = Host::new();
        change_client(&mut host, window(opened));
        let mut login = Login::at(host, TENANT).await;
        let first = login.first.clone();
        let second = login.refresh(&first).await;
        change_client(&mut login.host, window(changed));
        login.host.advance(secs(opened) - millis(1));
        assert_eq!(login.refresh(&first).await, second);
        login.host.advance(millis(1));
        login.assert_replay_revokes(&first, &second).await;
    }
}

#[tokio::test]
async fn what_is_taken_from_a_client_is_not_granted_any_more_and_can_be_given_back() {
    let allowed = |scope| tenant().with_scopes(Scope::parse(scope).unwrap(), Scope::parse(scope).unwrap()).unwrap();
    let mut host = Host::new();
    let said = host.log_in(json!({ "scope": "openid profile email" })).await;
    let mut token = text(&said, "refresh_token").to_owned();
    for (client, asked, granted) in [
        (allowed("openid email"), "", Some("openid email")),
        (allowed("openid email"), "openid", Some("openid")),
        (allowed("openid email"), "openid profile", None),
        (allowed("phone"), "", None),
        // The session does not have the scopes that the client was given since.
        (allowed("openid profile email phone"), "openid phone", None),
        (allowed("openid profile email phone"), "", Some("openid profile email")),
    ] {
        change_client(&mut host, client);
        let (status, said) = host.refresh_with(&token, &[("scope", asked)]).await;
        match granted {
            Some(scope) => {
                assert_eq!((status, text(&said, "scope")), (200, scope));
                text(&said, "refresh_token").clone_into(&mut token);
            }
            None => assert_eq!((status, said), error(400, "invalid_scope", "")),
        }
    }
    change_client(&mut host, tenant().with_grants([Grant::OtpSms]));
    assert_eq!(host.refresh(&token).await, error(400, "unauthorized_client", ""));
    change_client(&mut host, tenant());
    assert_eq!(host.refresh(&token).await.0, 200);
}

/// A refresh is stored, though the store says that it failed. Before it can look, the client tries again at another
/// host and goes on with the successor. The first answer then names this successor too, and not a later token.
#[tokio::test]
async fn a_refresh_that_finds_its_write_below_another_answers_with_its_own_successor() {
    let master = |byte| MasterKey::from_bytes(&[byte; 32]).unwrap();
    for [active, other] in [[2, 2], [2, 3], [3, 2]] {
        let sample = Host::new();
        let of = |active, accepted| Keyring::new(&master(1), &master(active)).accepting(&master(accepted));
        let host = sample.beside(Settings::default(), signing_key(), of(active, other));
        let beside = sample.beside(Settings::default(), signing_key(), of(other, active));
        let login = host.log_in(json!({})).await;
        let token = text(&login, "refresh_token");
        let mut first = Box::pin(host.refresh(token));
        host.store.hold_when_stored(1, &mut first);
        let (status, retried) = beside.refresh(token).await;
        assert_eq!(status, 200);
        let successor = text(&retried, "refresh_token");
        let (status, later) = beside.refresh(successor).await;
        assert_eq!(status, 200);
        let (status, answer) = first.await;
        assert_eq!((status, text(&answer, "refresh_token")), (200, successor), "{active} {other}");
        assert_eq!(host.refresh(text(&later, "refresh_token")).await.0, 200);
        assert_eq!(host.counters.reuses.load(SeqCst), 0);
    }
}

/// The fifty answers to one token are all usable. The session is one generation further.
async fn assert_one_generation_further(mut login: Login, answers: Vec<(u16, Value)>) {
    let mut successors = BTreeSet::new();
    assert_eq!(answers.len(), 50);
    for (status, said) in &answers {
        assert_eq!(*status, 200, "{said}");
        successors.insert(text(said, "refresh_token").to_owned());
        login.access_tokens.push(text(said, "access_token").to_owned());
    }
    assert_eq!(successors.len(), 1);
    assert_eq!(login.access_tokens.iter().collect::<BTreeSet<_>>().len(), 51);
    let successor = successors.first().unwrap().clone();
    let next = login.assert_alive(&successor).await;
    if login.client == STABLE {
        assert_eq!((&next, &successor), (&login.first, &login.first));
    } else {
        // The fifty answers went one generation further and not two. After the refresh above, the presented token is
        // two generations old.
        assert_ne!(next, successor);
        assert_eq!(login.refresh(&successor).await, next);
        login.assert_replay_revokes(&login.first, &next).await;
    }
}

#[tokio::test]
async fn fifty_refreshes_at_once_get_one_successor() {
    for client in [TENANT, SIXTY, STABLE] {
        for yields in 0..5 {
            // In lockstep, all requests would load before any of them stores. Some start a little later.
            for steps in 1..8 {
                let login = Login::of(client).await;
                login.host.store.yields.store(yields, SeqCst);
                let refresh_later = async |steps| {
                    for _ in 0..steps {
                        tokio::task::yield_now().await;
                    }
                    login.try_refresh(&login.first).await
                };
                let answers = join_all((0..50).map(|number| refresh_later(number % steps))).await;
                assert_one_generation_further(login, answers).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_refreshes_on_four_threads_get_one_successor() {
    for client in [TENANT, STABLE] {
        let login = Arc::new(Login::of(client).await);
        login.host.store.yields.store(2, SeqCst);
        let tasks: Vec<_> = (0..50)
            .map(|_| {
                let login = login.clone();
                tokio::spawn(async move { login.try_refresh(&login.first).await })
            })
            .collect();
        let answers = join_all(tasks).await.into_iter().map(Result::unwrap).collect();
        assert_one_generation_further(Arc::into_inner(login).unwrap(), answers).await;
    }
}
