//! README 3: what a failure costs.

use super::*;

/// README 3: "After a crash, a failure of the store or the end of a connection, a code is usable or spent, and nothing
/// in between."
#[tokio::test]
async fn a_verification_or_a_repeated_login_that_is_dropped_leaves_the_code_usable_or_spent() {
    for (send, window) in
        [(purpose(&sms_send(PHONE), Usage::Signup), 0), (by_spa(&email_send(EMAIL)), 0), (sms_send(PHONE), 20)]
    {
        for polls in 1..60 {
            let host = hosted(settings(|s| s.repeat_answer_within = secs(window)), 100);
            let sent = host.send(&send).await;
            host.store.yields.store(1, SeqCst);
            let answer = drop_after(polls, present(&host, &send, &sent, &sent.code));
            host.store.yields.store(0, SeqCst);
            let again = present(&host, &send, &sent, &sent.code).await;
            if answer.is_some() {
                assert_eq!((answer, again == Outcome::In), (Some(Outcome::In), window > 0));
                break;
            }
            assert!(matches!(again, Outcome::In | Outcome::Gone), "{send} {polls}: {again:?}");
            assert!(again == Outcome::In || window == 0, "the answer could be repeated: {polls}");
            assert!(host.counters.logins.load(SeqCst) <= 1);
        }
    }
}

/// README 3: "the server answers 503 and gives back the guess or the send. A code that the request spent is usable
/// again."
#[tokio::test]
async fn a_503_of_two_failures_in_a_row_costs_no_guess_and_no_code() {
    let sends = [by_spa(&email_send(EMAIL)), purpose(&sms_send(PHONE), Usage::UpdateUserinfo), sms_send(PHONE)];
    for (send, is_right) in sends.iter().flat_map(|send| [(send, true), (send, false)]) {
        for fault in [Mishap::FailBefore, Mishap::FailAfter, Mishap::Late] {
            for call in 0..5 {
                let host = hosted(small(), 240);
                let sent = host.send(send).await;
                host.store.fault(call, fault);
                host.store.fault(call + 1, Mishap::FailBefore);
                let code = if is_right { sent.code.clone() } else { wrong(&sent.code) };
                let outcome = present(&host, send, &sent, &code).await;
                host.store.heal();
                if outcome != Outcome::Unavailable {
                    continue;
                }
                assert_eq!(host.counters.logins.load(SeqCst), 0);
                assert_eq!(miss(&host, send, &sent).await, Outcome::Wrong(2), "{send} {is_right} {fault:?} {call}");
                assert_eq!(
                    present(&host, send, &sent, &sent.code).await,
                    Outcome::In,
                    "{send} {is_right} {fault:?} {call}"
                );
                host.advance(secs(250));
                assert_eq!(use_up(&host, send, 10).await, 7, "{send} {is_right} {fault:?} {call}");
            }
        }
    }
}

/// README 3: "the server answers 503 and gives back the guess or the send"
#[tokio::test]
async fn a_send_that_is_answered_with_503_uses_up_no_quota_and_kills_no_code() {
    for fault in [Mishap::FailBefore, Mishap::FailAfter, Mishap::Late] {
        for send in [by_spa(&email_send(EMAIL)), purpose(&sms_send(NOBODY), Usage::Signup)] {
            let settings = with(small(), |s| s.send_quotas = vec![quota(1, 10), quota(3, 3600)]);
            let host = hosted(settings, 240);
            let first = host.send(&send).await;
            host.advance(secs(10));
            for _ in 0..5 {
                host.store.fault(1, fault);
                host.store.fault(2, Mishap::FailBefore);
                assert_eq!(host.try_send(&send).await.unwrap_err().status(), 503);
                host.store.heal();
            }
            let second = host.send(&send).await;
            assert_eq!(first.code, second.code, "{fault:?}");
            host.advance(secs(10));
            host.send(&send).await;
            host.advance(secs(10));
            host.refused_send(&send).await;
            let signs_up = Sent { ..first.clone() };
            assert_eq!(miss(&host, &send, &signs_up).await, Outcome::Wrong(2));
        }
    }
}

/// README 3: "If the store fails again while the server undoes a change, one guess, one send or one code is lost."
#[tokio::test]
async fn a_longer_outage_in_one_request_costs_one_guess_or_one_code() {
    for send in [by_spa(&email_send(EMAIL)), purpose(&sms_send(PHONE), Usage::Signup)] {
        for is_right in [true, false] {
            for (first, last) in (0..6).flat_map(|first| (2..8).map(move |length| (first, first + length))) {
                for fault in [Mishap::FailBefore, Mishap::FailAfter] {
                    let host = hosted(small(), 240);
                    let sent = host.send(&send).await;
                    (first..last).for_each(|call| host.store.fault(call, fault));
                    let code = if is_right { sent.code.clone() } else { wrong(&sent.code) };
                    let outcome = present(&host, &send, &sent, &code).await;
                    host.store.heal();
                    if outcome != Outcome::Unavailable {
                        continue;
                    }
                    let about = format!("{send} {is_right} {fault:?} {first}..{last}");
                    match miss(&host, &send, &sent).await {
                        Outcome::Wrong(left) => assert!(left >= 1, "{about}: {left}"),
                        other => assert!(is_right && other == Outcome::Gone, "{about}: {other:?}"),
                    }
                    host.advance(secs(250));
                    let left = use_up(&host, &send, 10).await;
                    assert!(left >= 5, "{about}: {left}");
                }
            }
        }
    }
}

/// A signer that fails on demand, and counts its calls.
#[derive(Clone)]
struct Elsewhere {
    key: DalekKey,
    fails: Arc<AtomicBool>,
    signed: Arc<AtomicUsize>,
}

impl Signer for Elsewhere {
    type Error = Broken;

    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Broken> {
        self.signed.fetch_add(1, SeqCst);
        if self.fails.load(SeqCst) { Err(Broken) } else { Ok(self.key.sign(message).to_vec()) }
    }
}

fn elsewhere() -> (SigningKey, Elsewhere) {
    use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
    let key = DalekKey::from_bytes(&[7; 32]);
    let x = BASE64_URL_SAFE_NO_PAD.encode(key.verifying_key().as_bytes());
    let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": x }).to_string();
    let signer = Elsewhere { key, fails: Arc::default(), signed: Arc::default() };
    let public = PublicKey::from_jwk(jwk.as_bytes()).unwrap();
    (pollster::block_on(SigningKey::of_signer(signer.clone(), public)).unwrap(), signer)
}

/// README 3: "If the store, the directory, the signer or the source of random bytes fails, and the server can't go on,
/// the server answers 503 and gives back the guess or the send."
#[tokio::test]
async fn a_signer_or_a_sign_up_that_fails_costs_nothing_however_often() {
    let (key, signer) = elsewhere();
    let host = Host::with_directory(small(), key, directory(&CodePolicy::new(6, secs(240)).unwrap()));
    let send = by_spa(&sms_send(NOBODY));
    let sent = host.send(&send).await;
    let body = but(&grant(&send, &sent, &sent.code), json!({ "auto_signup": true }));
    for is_down in [true, false] {
        host.directory.down.store(is_down, SeqCst);
        signer.fails.store(!is_down, SeqCst);
        for _ in 0..10 {
            assert_eq!(host.token(&body).await.0, 503);
        }
    }
    signer.fails.store(false, SeqCst);
    assert_eq!(miss(&host, &send, &sent).await, Outcome::Wrong(2));
    assert_eq!(host.token(&body).await.0, 200);
}

/// SECURITY, flooder: "two signatures only after a code was right"
#[tokio::test]
async fn nothing_is_signed_before_a_code_was_right() {
    let (key, signer) = elsewhere();
    let host = Host::with_directory(small(), key, directory(&CodePolicy::new(6, secs(240)).unwrap()));
    signer.signed.store(0, SeqCst);
    let send = email_send(EMAIL);
    let sent = host.send(&send).await;
    miss(&host, &send, &sent).await;
    host.token(&but(&grant(&send, &sent, &sent.code), json!({ "scope": "admin" }))).await;
    host.refresh("garbage").await;
    assert_eq!(signer.signed.load(SeqCst), 0);
    let (_, said) = host.token(&grant(&send, &sent, &sent.code)).await;
    assert_eq!(signer.signed.load(SeqCst), 2);
    present(&host, &send, &sent, &sent.code).await;
    assert_eq!(host.revoke(text(&said, "refresh_token"), &[]).await.status(), 200);
    host.refresh(text(&said, "refresh_token")).await;
    assert_eq!(signer.signed.load(SeqCst), 2);
}

/// README 3: "the server answers 503 and gives back the guess or the send. A code that the request spent is usable
/// again", while two codes are in time
#[tokio::test]
async fn a_503_takes_back_the_guess_and_the_code_where_two_codes_are_in_time() {
    let send = by_spa(&email_send(EMAIL));
    for (token, code_of) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        for fault in [Mishap::FailBefore, Mishap::FailAfter, Mishap::Late] {
            for call in 0..5 {
                for is_right in [true, false] {
                    let host = hosted(small(), 240);
                    let mut sent = vec![host.send(&send).await];
                    assert_eq!(miss(&host, &send, &sent[0]).await, Outcome::Wrong(2));
                    host.advance(secs(121));
                    sent.push(host.send(&send).await);
                    let code = if is_right { sent[code_of].code.clone() } else { wrong(&sent[code_of].code) };
                    host.store.fault(call, fault);
                    host.store.fault(call + 1, Mishap::FailBefore);
                    let outcome = present(&host, &send, &sent[token], &code).await;
                    host.store.heal();
                    if outcome != Outcome::Unavailable {
                        continue;
                    }
                    let about = format!("{token} {code_of} {fault:?} {call} {is_right}");
                    // The first code has one guess less, and the second code has lost none.
                    assert_eq!(miss(&host, &send, &sent[0]).await, Outcome::Wrong(1), "{about}");
                    assert_eq!(present(&host, &send, &sent[token], &sent[code_of].code).await, Outcome::In, "{about}");
                }
            }
        }
    }
}

/// Repeats an answer ten times, of which the store fails at a call and at the next; tells how each ended, and the last
/// one.
async fn repeat_with_failures(fault: Mishap, call: usize) -> (Outcome, Outcome) {
    let host = hosted(with(small(), |s| s.repeat_answer_within = secs(30)), 240);
    let send = sms_send(PHONE);
    let sent = host.send(&send).await;
    assert_eq!(present(&host, &send, &sent, &sent.code).await, Outcome::In);
    let mut outcome = Outcome::Gone;
    for number in 0..10 {
        host.store.fault(call, fault);
        host.store.fault(call + 1, Mishap::FailBefore);
        let now = present(&host, &send, &sent, &sent.code).await;
        host.store.heal();
        if number == 0 {
            outcome = now;
        }
    }
    assert_eq!(host.counters.logins.load(SeqCst), 1);
    (outcome, present(&host, &send, &sent, &sent.code).await)
}

/// README 3: "the server answers 503 and gives back the guess", where an answer is repeated
#[tokio::test]
async fn repetitions_that_are_answered_with_503_cost_nothing() {
    for fault in [Mishap::FailBefore, Mishap::FailAfter, Mishap::Late] {
        for call in 0..6 {
            if let (Outcome::Unavailable, last) = repeat_with_failures(fault, call).await {
                assert_eq!(last, Outcome::In, "{fault:?} {call}");
            }
        }
    }
}
