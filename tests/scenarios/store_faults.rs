//! A store fails before or after it applied a call, applies it late or twice, or is slow, at each of its calls. Futures
//! are dropped at each of their awaits.

use std::sync::atomic::Ordering::SeqCst;

use otp_grant::dpop::{DpopPolicy, DpopSupport};
use otp_grant::session::RefreshPolicy;
use otp_grant::settings::SMS_GRANT_TYPE;
use otp_grant::*;
use otp_grant_tests::*;
use serde_json::json;

const FAULTS: [Mishap; 6] =
    [Mishap::FailBefore, Mishap::FailAfter, Mishap::Late, Mishap::Twice, Mishap::Overwritten, Mishap::Slow];

fn unavailable() -> (u16, serde_json::Value) {
    error(503, "temporarily_unavailable", "Temporarily unavailable. It is safe to try again.")
}

#[tokio::test]
async fn one_fault_in_a_grant_loses_no_challenge_and_releases_no_second_token_set() {
    for fault in FAULTS {
        for call in 0..6 {
            let host = Host::new();
            let sent = host.send(&sms_send(PHONE)).await;
            let grant = sms_grant(PHONE, &sent);
            host.store.fault(call, fault);
            let first = host.token(&grant).await;
            host.store.heal();
            assert!(first.0 == 200 || first == unavailable(), "{fault:?} at {call}: {first:?}");
            let second = host.token(&grant).await;
            // Exactly one of the two requests is a login: no login is lost, and none is given twice.
            assert_eq!([first.0, second.0].iter().filter(|status| **status == 200).count(), 1, "{fault:?} at {call}");
            assert_eq!(host.counters.logins.load(SeqCst), 1);
            let third = host.token(&grant).await;
            assert_eq!(third, error(400, "invalid_grant", "Unknown or expired otp_token"));
        }
    }
}

#[tokio::test]
async fn a_swap_of_unknown_outcome_is_resolved_without_the_client_noticing() {
    for fault in FAULTS {
        // The calls of a grant: load, swap (reserve), swap (insert session), swap (spend).
        for call in 1..4 {
            let host = Host::new();
            let sent = host.send(&sms_send(PHONE)).await;
            host.store.fault(call, fault);
            assert_eq!(host.token(&sms_grant(PHONE, &sent)).await.0, 200, "{fault:?} at {call}");
        }
    }
}

#[tokio::test]
async fn one_fault_costs_a_wrong_code_no_more_than_one_guess() {
    for fault in FAULTS {
        for call in 0..4 {
            let host = Host::new();
            let sent = host.send(&sms_send(PHONE)).await;
            let guess = but(&sms_grant(PHONE, &sent), json!({ "otp": wrong(&sent.code) }));
            host.store.fault(call, fault);
            let first = host.token(&guess).await;
            host.store.heal();
            assert!(first == unavailable() || first.1["attempts_remaining"] == 4, "{fault:?} at {call}: {first:?}");
            let charged = u64::from(first != unavailable());
            let remaining = host.token(&guess).await.1["attempts_remaining"].as_u64().unwrap();
            assert_eq!(remaining, 4 - charged, "{fault:?} at {call}");
        }
    }
}

#[tokio::test]
async fn two_faults_in_a_row_are_a_503_with_nothing_released() {
    for (first, second) in [(1, 2), (2, 3), (3, 4)] {
        for fault in [Mishap::FailBefore, Mishap::FailAfter] {
            let host = Host::new();
            let sent = host.send(&sms_send(PHONE)).await;
            host.store.fault(first, fault);
            host.store.fault(second, Mishap::FailBefore);
            assert_eq!(host.token(&sms_grant(PHONE, &sent)).await, unavailable());
            assert_eq!(host.counters.logins.load(SeqCst), 0);
            // A code that was spent in vain is given back, and so is the guess.
            let guess = but(&sms_grant(PHONE, &sent), json!({ "otp": wrong(&sent.code) }));
            assert_eq!(host.token(&guess).await.1["attempts_remaining"], 4, "{fault:?} at {first}");
            assert_eq!(host.token(&sms_grant(PHONE, &sent)).await.0, 200, "{fault:?} at {first}");
        }
    }
}

#[tokio::test]
async fn a_second_error_is_resolved_as_well() {
    // The spend fails, is found not to be applied, and fails again although it was applied.
    let host = Host::new();
    let sent = host.send(&sms_send(PHONE)).await;
    host.store.fault(3, Mishap::FailBefore);
    host.store.fault(5, Mishap::FailAfter);
    assert_eq!(host.token(&sms_grant(PHONE, &sent)).await.0, 200);
}

#[tokio::test]
async fn a_send_survives_one_fault_or_says_so() {
    for fault in FAULTS {
        for call in 0..3 {
            let host = Host::new();
            host.store.fault(call, fault);
            let answer = host.try_send(&sms_send(PHONE)).await;
            host.store.heal();
            match answer {
                Ok(sent) => assert_eq!(host.token(&sms_grant(PHONE, &sent)).await.0, 200, "{fault:?} at {call}"),
                Err(reply) => {
                    let expected = "Failed to send OTP. Please try again later.";
                    assert_eq!(read(&reply), error(503, "temporarily_unavailable", expected));
                }
            }
        }
    }
}

#[tokio::test]
async fn a_directory_that_fails_costs_no_guess_and_one_swap() {
    let host = Host::new();
    let sent = host.send(&sms_send(PHONE)).await;
    let guess = but(&sms_grant(PHONE, &sent), json!({ "otp": wrong(&sent.code) }));
    host.directory.down.store(true, SeqCst);
    for _ in 0..40 {
        let (calls, said) = host.store_calls(host.token(&sms_grant(PHONE, &sent))).await;
        assert_eq!((calls, said), (3, unavailable()));
    }
    host.directory.down.store(false, SeqCst);
    assert_eq!(host.token(&guess).await.1["attempts_remaining"], 4);
    assert_eq!(host.token(&sms_grant(PHONE, &sent)).await.0, 200);
}

#[tokio::test]
async fn an_outage_of_the_directory_locks_out_nobody_and_wrong_codes_are_charged_all_the_same() {
    let host = Host::new();
    host.directory.down.store(true, SeqCst);
    for _ in 0..8 {
        let sent = host.send(&sms_send(PHONE)).await;
        for _ in 0..5 {
            assert_eq!(host.token(&sms_grant(PHONE, &sent)).await, unavailable());
        }
        let guess = but(&sms_grant(PHONE, &sent), json!({ "otp": wrong(&sent.code) }));
        for left in [4, 3] {
            assert_eq!(host.token(&guess).await.1["attempts_remaining"], left);
        }
        host.advance(secs(120));
    }
    host.directory.down.store(false, SeqCst);
    let sent = host.send(&sms_send(PHONE)).await;
    assert_eq!(host.token(&sms_grant(PHONE, &sent)).await.0, 200);
    assert_eq!(host.counters.wrong_codes.load(SeqCst), 16);
}

#[tokio::test]
async fn a_send_that_failed_does_not_count() {
    for fault in [Mishap::FailBefore, Mishap::FailAfter] {
        // The store also fails when the send is taken back.
        for again in [Mishap::Slow, Mishap::FailBefore, Mishap::FailAfter] {
            let host = Host::new();
            host.store.fault(1, fault);
            host.store.fault(2, Mishap::FailBefore);
            host.store.fault(4, again);
            assert_eq!(host.try_send(&sms_send(PHONE)).await.unwrap_err().status(), 503);
            host.store.heal();
            let sent = host.send(&sms_send(PHONE)).await;
            assert_eq!(host.token(&sms_grant(PHONE, &sent)).await.0, 200);
        }
    }
}

#[tokio::test]
async fn a_grant_that_is_dropped_at_any_await_leaves_the_code_usable_or_spent() {
    let (mut usable, mut spent) = (0, 0);
    for polls in 1.. {
        let host = Host::new();
        let sent = host.send(&sms_send(PHONE)).await;
        let grant = sms_grant(PHONE, &sent);
        // One yield before and one after each call: the drop comes before or after the call is applied.
        host.store.yields.store(1, SeqCst);
        let answer = drop_after(polls, host.token(&grant));
        host.store.yields.store(0, SeqCst);
        let again = host.token(&grant).await;
        if let Some(answer) = answer {
            assert_eq!((answer.0, again.0), (200, 400));
            break;
        }
        if again.0 == 200 {
            usable += 1;
            assert_eq!(spent, 0, "a code that was spent came back");
        } else {
            spent += 1;
            assert_eq!(again, error(400, "invalid_grant", "Unknown or expired otp_token"));
        }
    }
    // Only a drop between the applied spend and its answer leaves the code spent.
    assert_eq!((usable, spent), (7, 1));
}

/// A store that answers every swap with a conflict.
#[derive(Default)]
struct Stubborn(std::sync::atomic::AtomicUsize);

impl otp_grant::Store for Stubborn {
    type Error = Broken;

    async fn load(&self, _: &otp_grant::id::RecordKey) -> Result<Option<otp_grant::store::Record>, Broken> {
        self.0.fetch_add(1, SeqCst);
        Ok(None)
    }

    async fn swap(
        &self,
        _: &otp_grant::id::RecordKey,
        _: Option<otp_grant::id::Tag>,
        _: &otp_grant::store::Record,
    ) -> Result<otp_grant::store::Swap, Broken> {
        self.0.fetch_add(1, SeqCst);
        Ok(otp_grant::store::Swap::Conflict)
    }
}

#[tokio::test]
async fn a_store_that_answers_with_nothing_but_conflicts_is_given_up() {
    let store = std::sync::Arc::new(Stubborn::default());
    let key = otp_grant::SigningKey::from_pem(include_str!("../keys/es256_pkcs8.pem")).unwrap();
    let server = otp_grant::AuthorizationServer::builder(otp_grant::Issuer::new(ISSUER).unwrap(), keyring(), key)
        .build(store.clone(), sample_directory())
        .unwrap();
    let body = sms_send(PHONE).to_string();
    let reply = server.post_send(json_request(&body, None)).await.err().unwrap();
    assert_eq!(reply.status(), 503);
    // A conflict means that another request made progress. One address does not have that many requests.
    assert!(store.0.load(SeqCst) <= 300, "{} calls", store.0.load(SeqCst));
}

/// A refresh is stored, though the store says that it failed, and then two others are: the session no longer tells that
/// this request has written. The proof that it finds used is its own, so it does not tell the client of a replay.
#[tokio::test]
async fn a_refresh_that_can_not_know_its_outcome_does_not_call_its_own_proof_replayed() {
    const STABLE: &str = "STABLE_DPOP_CLIENT_ID";
    let client = Client::confidential(ClientId::new(STABLE).unwrap(), ClientSecret::digest("SECRET"))
        .with_auth_source(AuthSourceId::new(SMS_SOURCE).unwrap())
        .with_refresh_policy(RefreshPolicy::Stable)
        .unwrap()
        .with_dpop(DpopPolicy::Required);
    let settings = settings(|settings| settings.dpop = DpopSupport::On);
    let host = Host::with_directory(settings, signing_key(), sample_directory().with_client(client));
    let key = Prover::new(1);
    let proof = || key.proof(&host, "/oauth2/token", json!({}));
    let send = but(&sms_send(PHONE), json!({ "client_id": STABLE, "client_secret": "SECRET" }));
    let (code, sent) = host.send_with(&send, &key.proof(&host, "/otp/send", json!({}))).await;
    let grant = json!({ "grant_type": SMS_GRANT_TYPE, "otp_token": sent["otp_token"], "otp": code });
    let reply = host.post_with("/oauth2/token", &but(&send, grant), &[&proof()]).await;
    let refresh = json!({
        "grant_type": "refresh_token", "client_id": STABLE, "client_secret": "SECRET",
        "refresh_token": read(&reply).1["refresh_token"],
    });
    let used = proof();
    let proofs = [&*used];
    let mut first = Box::pin(host.post_with("/oauth2/token", &refresh, &proofs));
    host.store.hold_when_stored(1, &mut first);
    for _ in 0..2 {
        assert_eq!(host.post_with("/oauth2/token", &refresh, &[&proof()]).await.status(), 200);
    }
    assert_eq!(read(&first.await), unavailable());
    assert_eq!(host.post_with("/oauth2/token", &refresh, &[&proof()]).await.status(), 200);
    let replayed = error(400, "invalid_dpop_proof", "the DPoP proof was used before");
    assert_eq!(read(&host.post_with("/oauth2/token", &refresh, &[&used]).await), replayed);
}
