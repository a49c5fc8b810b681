//! Sends to test identities.

use super::*;

#[tokio::test]
async fn a_test_identity_costs_no_message_and_the_same_calls() {
    let identity = |phone: &str| {
        let address = Address::Phone(AddressPolicy::default().phone_number(phone).unwrap());
        let end = Timestamp::from_unix_secs(START + 24 * 60 * 60);
        otp::TestIdentity::new(address, "246810", [ClientId::new(CLIENT).unwrap()], end)
    };
    let mut seen = Vec::new();
    for is_test in [false, true] {
        let settings = with(guarded(one_shard), |settings| {
            settings.test_identities.push(identity(if is_test { NUMBER } else { "+8613699999998" }));
        });
        let user = User::new(Subject::new("TEST").unwrap(), UserStatus::Active);
        let address = Address::Phone(AddressPolicy::default().phone_number(NUMBER).unwrap());
        let user = if is_test { user.as_test_subject() } else { user };
        let host = Host::with_directory(settings, signing_key(), sample_directory().with_user(user, [address]));
        let (send_calls, sent) = host.store_calls(try_send(&host, NUMBER)).await;
        let sent = sent.unwrap();
        let charged = destinations(&host);
        // A store that deletes what is due has the record of the destination for as long.
        let records = host.store.inner.records();
        let mut kept_until: Vec<_> = records.into_iter().map(|(_, record)| record.delete_after).collect();
        kept_until.sort_unstable();
        let (login_calls, (status, _)) = host.store_calls(host.token(&sms_grant(NUMBER, &sent))).await;
        assert_eq!(status, 200);
        seen.push((send_calls, login_calls, kept_until));
        let expected = if is_test { (0, 0) } else { (1, 0) };
        assert_eq!(charged, [expected, expected]);
        assert_eq!(destinations(&host), [if is_test { (0, 0) } else { (1, 1) }; 2]);
    }
    assert_eq!(seen[0], seen[1]);
}

#[tokio::test]
async fn a_test_identity_that_is_refused_at_the_charge_costs_the_same_calls() {
    let mut seen = Vec::new();
    for tested in [NUMBER, "+8613699999998"] {
        let address = Address::Phone(AddressPolicy::default().phone_number(tested).unwrap());
        let end = Timestamp::from_unix_secs(START + 24 * 60 * 60);
        let identity = otp::TestIdentity::new(address, "246810", [ClientId::new(CLIENT).unwrap()], end);
        let settings = with(guarded(one_shard), |settings| settings.test_identities.push(identity));
        let host = with_budget(settings, MessageBudget::new(count(2), count(2)));
        host.store.yields.store(1, SeqCst);
        let other = in_country(1);
        let (calls, (sent, refused)) =
            host.store_calls(futures::future::join(try_send(&host, &other), try_send(&host, NUMBER))).await;
        assert!(sent.is_ok());
        seen.push((calls, refused.unwrap_err()));
    }
    assert_eq!(seen[0], seen[1]);
}
