//! The limit of NIST SP 800-63B-4 section 3.2.2: at most 100 failures in a row, however long they take. By default
//! guesses become free again after a day. A host that wants this limit configures it.

use std::num::NonZeroU32;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use otp_grant::otp::Quota;
use otp_grant_tests::*;
use serde_json::json;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Guesses once, with a new code, if the server sends one.
async fn guess(host: &Host) -> bool {
    let Ok(sent) = host.try_send(&sms_send(PHONE)).await else { return false };
    let guess = but(&sms_grant(PHONE, &sent), json!({ "otp": wrong(&sent.code) }));
    let said = host.token(&guess).await.1;
    text(&said, "error_description") == "Unknown or expired OTP"
}

/// Tells whether a login succeeds. If the server sends no code, checks the error.
async fn logs_in(host: &Host) -> bool {
    match host.try_send(&sms_send(PHONE)).await {
        Ok(sent) => host.token(&sms_grant(PHONE, &sent)).await.0 == 200,
        Err(reply) => {
            assert_eq!(text(&read(&reply).1, "error"), "sms_rate_limit_exceeded");
            false
        }
    }
}

#[tokio::test]
async fn a_hundred_failures_are_the_last_however_long_they_take_and_whoever_logs_in_meanwhile() {
    const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);
    let hundred = Quota::new(NonZeroU32::new(100).expect("not zero"), FOR_EVER);
    let host = Host::with(settings(|s| (s.guesses_per_address, s.devices) = (hundred, None)));
    for _ in 0..50 {
        assert!(guess(&host).await);
        host.advance(DAY);
    }
    // A right code forgives the guesses at the same code, and no others.
    assert!(logs_in(&host).await);
    for _ in 0..50 {
        host.advance(DAY);
        assert!(guess(&host).await);
    }
    for _ in 0..40 {
        host.advance(DAY * 365);
        assert!(
            !guess(&host).await && {
                host.advance(DAY);
                !logs_in(&host).await
            }
        );
    }
    assert_eq!(host.counters.wrong_codes.load(SeqCst), 100);
}

#[tokio::test]
async fn by_default_the_guesses_of_a_day_come_back() {
    let host = Host::new();
    for _ in 0..5 {
        for _ in 0..25 {
            assert!(guess(&host).await);
            host.advance(secs(61));
        }
        assert!(!guess(&host).await);
        host.advance(DAY);
    }
    assert_eq!(host.counters.wrong_codes.load(SeqCst), 125);
    assert!(logs_in(&host).await);
}
