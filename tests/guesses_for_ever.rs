//! The limit of NIST SP 800-63B-4 section 3.2.2, at most 100 failures in a row however long they take: by default the
//! guesses of a day come back, and a host that wants that limit configures it.

mod support;

use std::num::NonZeroU32;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use otp_grant::{Quota, Settings};
use serde_json::json;
use support::*;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Guesses once, with a new code.
async fn guess(host: &Host) -> bool {
    let sent = host.send(&sms_send(PHONE)).await;
    let guess = but(&sms_grant(PHONE, &sent), json!({ "otp": wrong(&sent.code) }));
    let said = host.token(&guess).await.1;
    text(&said, "error_description") == "Unknown or expired OTP"
}

/// Logs in, or is refused as if no guess were left.
async fn logs_in(host: &Host) -> bool {
    let sent = host.send(&sms_send(PHONE)).await;
    let reply = host.token(&sms_grant(PHONE, &sent)).await;
    assert!(reply.0 == 200 || reply == error(400, "invalid_grant", "Unknown or expired otp_token"));
    reply.0 == 200
}

#[tokio::test]
async fn a_hundred_failures_in_a_row_are_the_last_however_long_they_take() {
    const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);
    let hundred = Quota::new(NonZeroU32::new(100).expect("not zero"), FOR_EVER);
    let host = Host::with(Settings::default().guesses_per_address(hundred));
    // What was right meanwhile begins the row anew.
    for _ in 0..50 {
        assert!(guess(&host).await);
        host.advance(DAY);
    }
    assert!(logs_in(&host).await);
    for _ in 0..100 {
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
    assert_eq!(host.counters.wrong_codes.load(SeqCst), 150);
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
