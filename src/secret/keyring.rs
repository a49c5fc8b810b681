//! The index secret and the sealing secrets: the keys that are derived from them, and how a sealing secret is rotated.

use base64::Engine;
use ring::digest;
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::address::{Address, AddressPolicy};
use crate::base64url::BASE64URL;
use crate::grant::Usage;
use crate::id::{Asker, AskerParts, AuthSourceId, Binding, ClientId, DeviceId, Issuer, KeyId, RecordKey, SessionId};
use crate::secret::code_challenge::CodeChallenge;
use crate::secret::{secret_from_base64, wipe_stack};
use crate::time::Timestamp;

/// A random secret of at least 32 bytes, from which keys are derived.
pub struct MasterKey(Zeroizing<Vec<u8>>);

impl MasterKey {
    /// Takes the bytes of a secret.
    ///
    /// # Errors
    /// [`InvalidMasterKey`] when there are fewer than 32.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidMasterKey> {
        if bytes.len() < SHORTEST { Err(InvalidMasterKey) } else { Ok(Self(Zeroizing::new(bytes.to_vec()))) }
    }

    /// Reads a secret from base64, as `openssl rand -base64 32` prints it. Line breaks are ignored.
    ///
    /// # Errors
    /// [`InvalidMasterKey`] when it is not base64, or decodes to fewer than 32 bytes.
    pub fn from_base64(text: &str) -> Result<Self, InvalidMasterKey> {
        Self::from_bytes(&secret_from_base64(text).map_err(|_| InvalidMasterKey)?)
    }

    /// Makes a random secret.
    ///
    /// The secret exists only in this process. When the process ends, every challenge and session is lost with it.
    ///
    /// # Errors
    /// [`InvalidMasterKey`] when the operating system gives no random bytes.
    pub fn generate() -> Result<Self, InvalidMasterKey> {
        let mut bytes = Zeroizing::new([0; SHORTEST]);
        SystemRandom::new().fill(bytes.as_mut()).map_err(|_| InvalidMasterKey)?;
        Self::from_bytes(bytes.as_ref())
    }

    fn derive(&self, purpose: &str) -> hmac::Key {
        let master = hmac::Key::new(hmac::HMAC_SHA256, &self.0);
        hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&master, purpose.as_bytes()).as_ref())
    }
}

impl core::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("MasterKey(..)")
    }
}

/// The secrets of one authorization server.
///
/// The *index* secret says where records are kept. Changing it forgets every session and every spent budget. The
/// *sealing* secret protects tokens and codes, and can be replaced while the server runs.
///
/// # Rotation of the sealing secret
///
/// Take three steps. Finish each step on all hosts before the next step begins:
///
/// 1. **Accept** the next secret beside the present one: `Keyring::new(&index, &present).accepting(&next)`.
/// 2. **Switch**: `Keyring::new(&index, &next).accepting(&present)`. Wait until everything has expired that was sealed
///    under the present secret. A refresh token lives as long as its session (by default 30 days), a
///    device token as long as its device is known (by default 90 days).
/// 3. **Drop** the old secret: `Keyring::new(&index, &next)`. A user whose client did not refresh in the meantime logs
///    in again, and a device that did not log in again is no longer known.
///
/// With one host, the first step can be left out. If a secret has leaked, drop it at once. The otp_tokens and refresh
/// tokens that it sealed are then refused without asking the store.
///
/// Call [`AuthorizationServer::check_keyring`](crate::AuthorizationServer::check_keyring) when a host starts. It finds
/// a host that has missed a step.
#[derive(Debug)]
pub struct Keyring {
    records: hmac::Key,
    bindings: hmac::Key,
    active: SealingKeys,
    accepted: Vec<SealingKeys>,
}

impl Keyring {
    /// Derives the keys. Both secrets can be the same, unless the sealing secret will be replaced some day.
    pub fn new(index: &MasterKey, sealing: &MasterKey) -> Self {
        Self {
            records: index.derive("otp-grant 1 record key"),
            bindings: index.derive("otp-grant 1 binding"),
            active: SealingKeys::derive(sealing),
            accepted: Vec::new(),
        }
    }

    /// Also accepts what was sealed under another secret: the previous one, or the next.
    #[must_use]
    pub fn accepting(mut self, other: &MasterKey) -> Self {
        self.accepted.push(SealingKeys::derive(other));
        self
    }

    /// Derives the keys of one issuer. Other issuers with the same secrets and the same store then have other records
    /// and other bindings. The issuer is mixed in once here, instead of into each MAC.
    #[must_use]
    pub(crate) fn of(mut self, issuer: &Issuer) -> Self {
        let sealing = core::iter::once(&mut self.active).chain(&mut self.accepted).map(|keys| &mut keys.nonces);
        for key in [&mut self.records, &mut self.bindings].into_iter().chain(sealing) {
            *key = hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(key, issuer.as_str().as_bytes()).as_ref());
        }
        self
    }

    /// Returns the keys that seal new tokens.
    pub(crate) fn active(&self) -> &SealingKeys {
        &self.active
    }

    /// Names the secret that seals new tokens, while other secrets are also accepted. Every host then seals a repeated
    /// answer under the same secret.
    pub(crate) fn names_its_key(&self) -> Option<KeyId> {
        (!self.accepted.is_empty()).then_some(self.active.id)
    }

    /// Returns the keys with this identifier, if they are still accepted.
    pub(crate) fn find(&self, id: &KeyId) -> Option<&SealingKeys> {
        core::iter::once(&self.active).chain(&self.accepted).find(|keys| keys.id == *id)
    }

    /// Returns the key of the record of an address. All addresses that share a budget share this record.
    pub(crate) fn authenticator_key(&self, address: &Address, policy: &AddressPolicy) -> RecordKey {
        let budget = policy.budget(address);
        let parts = ["authenticator", channel_name(address), &budget];
        RecordKey::from_bytes(mac(&self.records, parts.map(str::as_bytes)))
    }

    /// Returns the key of the record of a session.
    pub(crate) fn session_key(&self, session: &SessionId) -> RecordKey {
        RecordKey::from_bytes(mac(&self.records, [b"session".as_slice(), session.as_bytes()]))
    }

    /// Returns the key of the record of a value that is used once. `kind` names what the value is, and `parts` are the
    /// value.
    pub(crate) fn used_once_key<'p>(&self, kind: &'p str, parts: impl IntoIterator<Item = &'p [u8]>) -> RecordKey {
        RecordKey::from_bytes(mac(&self.records, [b"used once", kind.as_bytes()].into_iter().chain(parts)))
    }

    /// Returns the key of the record of a destination of messages. `kind` names what the destination is, and `parts`
    /// are the destination.
    pub(crate) fn destination_key<'p>(&self, kind: &'p str, parts: impl IntoIterator<Item = &'p [u8]>) -> RecordKey {
        RecordKey::from_bytes(mac(&self.records, [b"destination", kind.as_bytes()].into_iter().chain(parts)))
    }

    /// Returns the key of the record of the keys in use. No secret goes into it, and so hosts with different secrets
    /// find the same record.
    pub(crate) fn record_of_keys(issuer: &Issuer) -> RecordKey {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(b"otp-grant 1 keys in use ");
        context.update(issuer.as_str().as_bytes());
        let mut key = [0; RecordKey::LEN];
        key.copy_from_slice(context.finish().as_ref());
        RecordKey::from_bytes(key)
    }

    /// Names the index secret. The name is a truncated MAC, from which nothing can be computed.
    pub(crate) fn index_id(&self) -> KeyId {
        KeyId::from_bytes(first(&mac(&self.records, [b"index key id".as_slice()])))
    }

    /// Names every sealing secret that is accepted, the active one first.
    pub(crate) fn accepted_ids(&self) -> Vec<KeyId> {
        core::iter::once(&self.active).chain(&self.accepted).map(|keys| keys.id).collect()
    }

    /// Returns what a challenge is bound to: client, auth source, address and usage.
    pub(crate) fn binding(
        &self,
        client: &ClientId,
        source: Option<&AuthSourceId>,
        address: &Address,
        usage: Usage,
    ) -> Binding {
        let source = source.map(AuthSourceId::as_str).unwrap_or_default();
        let (channel, address) = (channel_name(address), address.as_str());
        let [client, source, channel, address] = [client.as_str(), source, channel, address].map(str::as_bytes);
        let parts = [client, source, channel, address, usage.in_binding()];
        Binding::from_bytes(first(&mac(&self.bindings, parts)))
    }

    /// Returns the nonce that a DPoP proof can contain from `now` on (RFC 9449 section 8). It follows from the time,
    /// and so nothing is stored.
    pub(crate) fn dpop_nonce(&self, now: Timestamp) -> String {
        BASE64URL.encode(nonce_of(&self.active, minute(now)))
    }

    /// Tells whether a nonce is of the present minute, of one of the two minutes before, or of the next minute. A host
    /// whose clock is ahead may have given the last one.
    pub(crate) fn accepts_dpop_nonce(&self, nonce: &str, now: Timestamp) -> bool {
        let mut presented = [0; NONCE_LEN];
        if BASE64URL.decode_slice(nonce, &mut presented) != Ok(NONCE_LEN) {
            return false;
        }
        let present = minute(now);
        let minutes = present.saturating_sub(2)..=present.saturating_add(1);
        let keys = core::iter::once(&self.active).chain(&self.accepted);
        keys.flat_map(|keys| minutes.clone().map(|minute| nonce_of(keys, minute)))
            .any(|given| bool::from(given.ct_eq(&presented)))
    }

    /// Returns who asks for a code: a MAC over the code challenge and the SHA-256 thumbprint of the key. Returns `None`
    /// for a request with neither.
    pub(crate) fn asker(&self, challenge: Option<&CodeChallenge>, key: Option<&[u8; 32]>) -> Option<Asker> {
        let parts = match (challenge, key) {
            (None, None) => return None,
            (Some(_), None) => AskerParts::Challenge,
            (None, Some(_)) => AskerParts::Key,
            (Some(_), Some(_)) => AskerParts::Both,
        };
        // A part that is absent is empty, and differs from every part that is present by its length.
        let challenge = challenge.map_or(b"".as_slice(), |challenge| challenge.as_bytes());
        let key = key.map_or(b"".as_slice(), |key| key);
        Some(Asker::new(first(&mac(&self.bindings, [b"asker", challenge, key])), parts))
    }

    /// Returns the binding as the record of the address keeps it. The binding of one asker differs from that of every
    /// other, and so they share no code. Without an asker, the binding is kept as it is.
    pub(crate) fn kept_binding(&self, binding: Binding, asker: Option<&Asker>) -> Binding {
        asker.map_or(binding, |asker| {
            let parts = [b"asked".as_slice(), binding.as_bytes(), asker.as_bytes()];
            Binding::from_bytes(first(&mac(&self.bindings, parts)))
        })
    }

    /// Returns the device that a login makes known. It follows from the session, and so a repeated answer names the
    /// same device.
    pub(crate) fn device_of(&self, session: &SessionId) -> DeviceId {
        DeviceId::from_bytes(first(&mac(&self.bindings, [b"device of session".as_slice(), session.as_bytes()])))
    }

    /// Returns what a device token is bound to: the record of the address, and the client.
    pub(crate) fn device_binding(&self, record: &RecordKey, client: &ClientId, device: &DeviceId) -> Binding {
        let parts = [b"device".as_slice(), record.as_bytes(), client.as_str().as_bytes(), device.as_bytes()];
        Binding::from_bytes(first(&mac(&self.bindings, parts)))
    }

    /// Returns what is kept of the address of a test identity.
    pub(crate) fn test_address(&self, address: &Address) -> [u8; 32] {
        let parts = ["test identity", channel_name(address), address.as_str()];
        mac(&self.bindings, parts.map(str::as_bytes))
    }

    /// Returns what is kept of the fixed code of a test identity.
    pub(crate) fn test_code(&self, address: &[u8; 32], code: &str) -> [u8; 32] {
        let digest = mac(&self.bindings, [b"test code".as_slice(), address, code.as_bytes()]);
        wipe_stack();
        digest
    }

    /// Returns what a refresh token contains of its client.
    pub(crate) fn client_mark(&self, client: &ClientId) -> [u8; 15] {
        first(&mac(&self.bindings, ["refresh", client.as_str()].map(str::as_bytes)))
    }
}

/// The keys that are derived from one sealing secret.
pub(crate) struct SealingKeys {
    pub(crate) id: KeyId,
    pub(crate) otp_tokens: hmac::Key,
    pub(crate) refresh_tokens: hmac::Key,
    pub(crate) device_tokens: hmac::Key,
    pub(crate) codes: hmac::Key,
    nonces: hmac::Key,
}

impl SealingKeys {
    fn derive(secret: &MasterKey) -> Self {
        let id = mac(&secret.derive("otp-grant 1 key id"), []);
        Self {
            id: KeyId::from_bytes(first(&id)),
            otp_tokens: secret.derive("otp-grant 1 otp_token"),
            refresh_tokens: secret.derive("otp-grant 1 refresh_token"),
            device_tokens: secret.derive("otp-grant 1 device token"),
            codes: secret.derive("otp-grant 1 code"),
            nonces: secret.derive("otp-grant 1 DPoP nonce"),
        }
    }
}

impl core::fmt::Debug for SealingKeys {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_tuple("SealingKeys").field(&self.id).finish()
    }
}

/// A secret is too short or not base64, or there were no random bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "an error that says all there is by its name")]
pub struct InvalidMasterKey;

impl core::fmt::Display for InvalidMasterKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("a master key has to be base64 of at least 32 random bytes")
    }
}

impl core::error::Error for InvalidMasterKey {}

/// Returns the HMAC of `parts`, each preceded by its length. Two different lists of parts never have the same input.
pub(crate) fn mac<'p>(key: &hmac::Key, parts: impl IntoIterator<Item = &'p [u8]>) -> [u8; 32] {
    let mut context = hmac::Context::with_key(key);
    for part in parts {
        context.update(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
        context.update(part);
    }
    let mut out = [0; 32];
    out.copy_from_slice(context.sign().as_ref());
    out
}

fn nonce_of(keys: &SealingKeys, minute: u64) -> [u8; NONCE_LEN] {
    first(&mac(&keys.nonces, [minute.to_be_bytes().as_slice()]))
}

fn minute(now: Timestamp) -> u64 {
    now.as_unix_secs() / 60
}

/// Returns the first `N` bytes. RFC 2104 section 5 allows a truncated HMAC.
fn first<const N: usize>(bytes: &[u8; 32]) -> [u8; N] {
    core::array::from_fn(|index| bytes.get(index).copied().unwrap_or_default())
}

fn channel_name(address: &Address) -> &'static str {
    match address {
        Address::Phone(_) => "phone_number",
        Address::Email(_) => "email",
    }
}

const SHORTEST: usize = 32;
const NONCE_LEN: usize = 16;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn keyring() -> Keyring {
        let secret = MasterKey::from_bytes(&[7; 32]).unwrap();
        Keyring::new(&secret, &secret).of(&Issuer::new("https://login.example.com").unwrap())
    }

    #[test]
    fn a_master_key_has_32_bytes_at_least() {
        assert!(MasterKey::from_bytes(&[7; 31]).is_err());
        assert!(MasterKey::from_bytes(&[7; 32]).is_ok() && MasterKey::from_bytes(&[7; 33]).is_ok());
    }

    /// If these keys changed, the new version would lose every record.
    #[test]
    fn records_stay_where_they_are_from_version_to_version() {
        let default = AddressPolicy::default();
        let chinese = AddressPolicy::default().with_country_code("86").unwrap();
        let email = Address::Email(default.email("user@example.com").unwrap());
        let phone = Address::Phone(chinese.phone_number("+8613612345678").unwrap());
        let keys = [(&email, &default), (&email, &chinese), (&phone, &chinese), (&phone, &default)]
            .map(|(address, policy)| String::from(keyring().authenticator_key(address, policy)));
        let of_email = "wH4R5nyanpHHLqUNQBYzl4KsxkNB5s__7wyTdRyXKAg";
        let of_phone = "4yFQPpsT1WPvAOueZg-wkJMmYdK8wjhI_w8DuzfKnew";
        assert_eq!(keys, [of_email, of_email, of_phone, "dxLHF5GSGOb_yqlLmYPN1DFsWbtb0LacyD6ELAW_goc"]);
        let session = SessionId::from_bytes([9; 32]);
        assert_eq!(String::from(keyring().session_key(&session)), "SJoqEvZCwWcCwp_oAfGR5j1ERwZbUtsJSwGjtr2VKAc");
        let used = keyring().used_once_key("assertion", [b"CLIENT".as_slice(), b"jti"]);
        assert_eq!(String::from(used), "Mczr9_-l7uKkEmvXbNJJEl1JQyIt-DiNJVImj1f_5dQ");
        let issuer = Issuer::new("https://login.example.com").unwrap();
        assert_eq!(String::from(Keyring::record_of_keys(&issuer)), "1StdVwVMz8jmt6FC3StaR-rObjh1eDq3V4P1ZEaogkM");
        assert_eq!(String::from(keyring().index_id()), "R9HPxQ");
    }

    #[test]
    fn addresses_of_one_budget_have_one_record_and_bindings_of_their_own() {
        let policy = AddressPolicy::default();
        let client = ClientId::new("CLIENT").unwrap();
        let [user, news] =
            ["user@example.com", "user+news@example.com"].map(|text| Address::Email(policy.email(text).unwrap()));
        let keys = [&user, &news].map(|address| keyring().authenticator_key(address, &policy));
        assert_eq!(keys[0], keys[1]);
        let bindings = [&user, &news].map(|address| keyring().binding(&client, None, address, Usage::Login));
        assert_ne!(bindings[0], bindings[1]);
    }

    /// Were they others, every otp_token in flight would be lost with the version that changed them.
    #[test]
    fn the_bindings_of_built_in_usages_stay_as_they_are_and_no_custom_one_has_them() {
        let client = ClientId::new("CLIENT").unwrap();
        let email = Address::Email(AddressPolicy::default().email("user@example.com").unwrap());
        let binding = |usage| keyring().binding(&client, None, &email, usage);
        for usage in [Usage::Login, Usage::Signup, Usage::UpdateUserinfo, Usage::ResetPassword] {
            let parts = [b"CLIENT".as_slice(), b"", b"email", b"user@example.com", usage.as_str().as_bytes()];
            assert_eq!(binding(usage), Binding::from_bytes(first(&mac(&keyring().bindings, parts))));
        }
        let custom = |name| Usage::Custom(crate::grant::CustomUsage::new(name).unwrap());
        let parts = [b"CLIENT".as_slice(), b"", b"email", b"user@example.com", b"confirm_payment"];
        assert_ne!(binding(custom("confirm_payment")), Binding::from_bytes(first(&mac(&keyring().bindings, parts))));
        assert_ne!(binding(custom("confirm_payment")), binding(custom("confirm_payments")));
    }

    #[test]
    fn a_nonce_is_good_for_two_to_three_minutes_at_its_issuer_alone() {
        let at = Timestamp::from_unix_secs;
        let nonce = keyring().dpop_nonce(at(6_000));
        for (secs, accepted) in [(5_939, false), (5_940, true), (6_000, true), (6_179, true), (6_180, false)] {
            assert_eq!(keyring().accepts_dpop_nonce(&nonce, at(secs)), accepted, "{secs}");
        }
        let [old, new] = [7, 8].map(|byte| MasterKey::from_bytes(&[byte; 32]).unwrap());
        let issuer = Issuer::new("https://login.example.com").unwrap();
        let other = Issuer::new("https://other.example.com").unwrap();
        assert!(!Keyring::new(&old, &old).of(&other).accepts_dpop_nonce(&nonce, at(6_000)));
        assert!(Keyring::new(&old, &new).accepting(&old).of(&issuer).accepts_dpop_nonce(&nonce, at(6_000)));
        assert!(!Keyring::new(&old, &new).of(&issuer).accepts_dpop_nonce(&nonce, at(6_000)));
        for broken in ["", "AAAA", &format!("{nonce}="), &nonce.replace(&nonce[..1], "~")] {
            assert!(!keyring().accepts_dpop_nonce(broken, at(6_000)), "{broken}");
        }
    }

    #[test]
    fn each_challenge_and_each_key_makes_another_asker() {
        let challenge = |verifier: &str| CodeChallenge::of_verifier(&verifier.repeat(43)).unwrap();
        let [one, two] = ["1", "2"].map(challenge);
        let same_bytes = one.as_bytes();
        assert!(keyring().asker(None, None).is_none());
        let made: Vec<_> = [None, Some(&one), Some(&two)]
            .into_iter()
            .flat_map(|challenge| [None, Some(same_bytes), Some(&[2; 32])].map(|key| (challenge, key)))
            .filter_map(|(challenge, key)| {
                let asker = keyring().asker(challenge, key);
                assert!(asker == keyring().asker(challenge, key));
                asker
            })
            .collect();
        assert_eq!(made.len(), 8);
        let macs: std::collections::BTreeSet<_> = made.iter().map(Asker::as_bytes).collect();
        assert_eq!(macs.len(), 8, "none is another's");
        let secret = MasterKey::from_bytes(&[7; 32]).unwrap();
        let of_another_issuer = Keyring::new(&secret, &secret).of(&Issuer::new("https://other.example.com").unwrap());
        assert!(of_another_issuer.asker(Some(&one), None) != keyring().asker(Some(&one), None));
    }

    /// If these changed, codes in flight would be lost with the version that changed them.
    #[test]
    fn askers_and_their_bindings_stay_as_they_are_from_version_to_version() {
        let challenge = CodeChallenge::of_verifier("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk").unwrap();
        let binding = Binding::from_bytes([5; 16]);
        let kept =
            |challenge, key| String::from(keyring().kept_binding(binding, keyring().asker(challenge, key).as_ref()));
        assert_eq!(kept(None, None), String::from(binding));
        let kept = [kept(Some(&challenge), None), kept(None, Some(&[3; 32])), kept(Some(&challenge), Some(&[3; 32]))];
        assert_eq!(kept, ["UG-cWkkYULJZCnfUx4NWyQ", "ixeu7AKdY5tng399o4oTIQ", "Ku_onjHUL7GXDMFnjy8lMA"]);
    }

    #[test]
    fn debug_output_names_keys_by_their_identifier() {
        let keyring = keyring();
        assert_eq!(format!("{:?}", keyring.active()), format!("SealingKeys({:?})", keyring.active().id));
    }
}
