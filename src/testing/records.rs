//! Records for the tests of stores.

use serde_json::{Value, json};

use crate::directory::Client;
use crate::flow::check_keyring::KeyringCheck;
use crate::id::{ClientId, RecordKey};
use crate::jwt::algorithm::Algorithm;
use crate::jwt::jwk::PublicKeySet;
use crate::jwt::signing_key::{JwtType, SigningKey};
use crate::settings::SMS_GRANT_TYPE;
use crate::store::Record;
use crate::testing::server::server_at;
use crate::time::Timestamp;

/// Returns records of each kind, with their keys, as a server stores them at this instant.
///
/// The records are the record of an address, the record of the session of its user, the record of the secrets in use,
/// the record of a client's assertion that was used, and the records of the destinations that the address belongs to.
/// They serve the first tests of a store adapter: whether a
/// record comes back as it was stored, and what a database shows of it. The suite of the feature `conformance` tests
/// whether the adapter keeps the promises of [`Store`](crate::Store). It has the largest records and every member.
///
/// ```
/// # pollster::block_on(async {
/// use otp_grant::{MemoryStore, Store, testing};
/// use otp_grant::store::Swap;
/// use otp_grant::time::{Clock, SystemClock};
///
/// let store = MemoryStore::new();
/// for (key, record) in testing::sample_records(SystemClock.now()).await {
///     assert_eq!(store.swap(&key, None, &record).await?, Swap::Stored);
///     assert_eq!(store.load(&key).await?, Some(record));
/// }
/// # Ok::<(), std::convert::Infallible>(())
/// # }).unwrap();
/// ```
///
/// # Panics
/// Panics when the system has no random bytes for a signing key.
#[expect(clippy::expect_used, reason = "what was not made can't be tested, and the test has to fail")]
pub async fn sample_records(now: Timestamp) -> Vec<(RecordKey, Record)> {
    let key = SigningKey::generate(Algorithm::ES256).expect("random bytes for the key of a client");
    let id = ClientId::new("keyed").expect("a valid name");
    let keyed = Client::private_key_jwt(id, PublicKeySet::of(key.public_key().clone())).expect("a key");
    let host = server_at(now, keyed);
    let found = host.server.check_keyring().await.expect("the secrets are announced");
    assert_eq!(found, KeyringCheck::Agrees);
    let send = json!({
        "client_id": "client", "client_secret": "secret", "auth_source_id": "sms", "phone_number": PHONE,
    });
    let reply = host.post("/otp/send", &send.to_string()).await;
    let sent: Value = serde_json::from_slice(reply.body()).expect("a reply in JSON");
    let message = host.outbox.latest_to(PHONE).expect("a code was sent");
    let grant = json!({
        "client_id": "client", "client_secret": "secret", "auth_source_id": "sms", "phone_number": PHONE,
        "grant_type": SMS_GRANT_TYPE, "otp_token": sent.get("otp_token"), "otp": message.code(),
    });
    assert_eq!(host.post("/oauth2/token", &grant.to_string()).await.status(), 200, "the login was refused");
    // The assertion is used up, although nobody knows the refresh token.
    let claims = json!({
        "iss": "keyed", "sub": "keyed", "aud": host.server.issuer().as_str(), "exp": now.as_unix_secs() + 60, "jti": "1",
    });
    let assertion = key.sign_jwt(JwtType::Jwt, claims.to_string().as_bytes(), None).await.expect("a signature");
    let refresh = json!({
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": assertion, "grant_type": "refresh_token", "refresh_token": "unknown",
    });
    assert_eq!(host.post("/oauth2/token", &refresh.to_string()).await.status(), 400, "the assertion was refused");
    host.store.records()
}

const PHONE: &str = "+12025550123";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_records_of_each_kind() {
        let records = pollster::block_on(sample_records(Timestamp::from_unix_secs(1_900_000_000)));
        let mut kinds: Vec<&str> = records.iter().map(|(_, record)| record.body.kind()).collect();
        kinds.sort_unstable();
        kinds.dedup();
        assert_eq!(kinds, ["authenticator", "destination", "keys_in_use", "session", "used"]);
    }
}
