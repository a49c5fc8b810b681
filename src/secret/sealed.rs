//! Seals and unseals otp_tokens, device tokens and refresh tokens. A token that this server did not seal, that was
//! altered or that has expired is refused before any store is asked.

use core::time::Duration;

use base64::Engine;
use ring::hmac;
use subtle::ConstantTimeEq;

use crate::base64url::BASE64URL;
use crate::id::{Asker, AskerParts, Binding, ChallengeId, DeviceId, KeyId, SessionId};
use crate::secret::code_challenge::CodeChallenge;
use crate::secret::keyring::{Keyring, SealingKeys};
use crate::secret::{DeviceToken, OtpToken, PresentedSecret, RefreshToken};
use crate::time::{CLOCK_TOLERANCE, Timestamp};

/// The content of an otp_token.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct OtpTokenContent {
    pub(crate) challenge: ChallengeId,
    pub(crate) expires_at: Timestamp,
    pub(crate) binding: Binding,
    /// Who asked for the code. The token says what the asker was made from, and its MAC covers the asker. The asker
    /// itself is not in the token.
    pub(crate) asker: Option<Asker>,
}

impl OtpTokenContent {
    /// Tells whether the token was asked for with a key.
    pub(crate) fn needs_key(&self) -> bool {
        self.asker.is_some_and(|asker| matches!(asker.parts(), AskerParts::Key | AskerParts::Both))
    }

    /// Writes and seals the token.
    pub(crate) fn seal(&self, keyring: &Keyring) -> OtpToken {
        let keys = keyring.active();
        let mut token = Writer::new(version(self.asker.as_ref()), keys);
        token.put(self.challenge.as_bytes());
        token.put(&self.expires_at.as_unix_millis().to_be_bytes());
        token.put(self.binding.as_bytes());
        OtpToken::new(token.seal(&keys.otp_tokens, self.asker.as_ref()))
    }

    /// Reads a token that this server sealed for this asker and that has not expired.
    pub(crate) fn unseal(
        token: &PresentedSecret<'_>,
        shown: Shown<'_>,
        keyring: &Keyring,
        now: Timestamp,
    ) -> Result<Self, NotSealed> {
        let mut bytes = [0; OTP_TOKEN_LEN];
        let asker = |version| shown.asker(version, keyring);
        let (asker, mut reader) = Reader::open(token, &mut bytes, keyring, |keys| &keys.otp_tokens, asker)?;
        let content = Self {
            asker,
            challenge: ChallengeId::from_bytes(reader.take()?),
            expires_at: Timestamp::from_unix_millis(u64::from_be_bytes(reader.take()?)),
            binding: Binding::from_bytes(reader.take()?),
        };
        if now.has_reached(content.expires_at) { Err(NotSealed) } else { Ok(content) }
    }
}

/// What the caller shows of itself when it redeems a code: the challenge of its code verifier, and the SHA-256
/// thumbprint of its key.
#[derive(Clone, Copy, Default)]
pub(crate) struct Shown<'a> {
    pub(crate) challenge: Option<&'a CodeChallenge>,
    pub(crate) key: Option<&'a [u8; 32]>,
}

impl Shown<'_> {
    /// Returns the asker of a token of this version. Everything that the token was asked for with must be shown.
    ///
    /// A challenge that the token was not asked for with is refused. Otherwise a caller could believe that its token
    /// was bound, although the challenge was lost or removed on its way (RFC 9700 section 2.1.1). A further key is not
    /// part of the asker.
    fn asker(&self, version: u8, keyring: &Keyring) -> Result<Option<Asker>, NotSealed> {
        let (needs_challenge, needs_key) = match version {
            VERSION => (false, false),
            VERSION_WITH_CHALLENGE => (true, false),
            VERSION_WITH_KEY => (false, true),
            VERSION_WITH_BOTH => (true, true),
            _ => return Err(NotSealed),
        };
        let key = self.key.filter(|_| needs_key);
        if self.challenge.is_some() != needs_challenge || key.is_some() != needs_key {
            return Err(NotSealed);
        }
        Ok(keyring.asker(self.challenge, key))
    }
}

/// The content of a refresh token. The same content gives the same token, and so a repeated answer has the same token.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct RefreshTokenContent {
    pub(crate) session: SessionId,
    pub(crate) generation: u32,
    /// When its session ends in any case.
    pub(crate) expires_at: Timestamp,
    /// The mark of the client that the token was issued to.
    pub(crate) client_mark: [u8; 15],
}

impl RefreshTokenContent {
    /// Writes and seals the token: 96 bytes, or 128 characters. It is sealed under the secret `under` if that is still
    /// accepted, and otherwise under the active secret.
    pub(crate) fn seal(&self, keyring: &Keyring, under: Option<&KeyId>) -> RefreshToken {
        let keys = under.and_then(|id| keyring.find(id)).unwrap_or(keyring.active());
        let mut token = Writer::new(VERSION, keys);
        token.put(self.session.as_bytes());
        token.put(&self.generation.to_be_bytes());
        token.put(&self.expires_at.as_unix_millis().to_be_bytes());
        token.put(&self.client_mark);
        RefreshToken::new(token.seal(&keys.refresh_tokens, None))
    }

    /// Reads a token that this server sealed and that has not expired.
    pub(crate) fn unseal(token: &PresentedSecret<'_>, keyring: &Keyring, now: Timestamp) -> Result<Self, NotSealed> {
        let mut bytes = [0; REFRESH_TOKEN_LEN];
        let no_asker = |version| if version == VERSION { Ok(None) } else { Err(NotSealed) };
        let (_, mut reader) = Reader::open(token, &mut bytes, keyring, |keys| &keys.refresh_tokens, no_asker)?;
        let content = Self {
            session: SessionId::from_bytes(reader.take()?),
            generation: u32::from_be_bytes(reader.take()?),
            expires_at: Timestamp::from_unix_millis(u64::from_be_bytes(reader.take()?)),
            client_mark: reader.take()?,
        };
        if now.has_reached(content.expires_at) { Err(NotSealed) } else { Ok(content) }
    }
}

/// The content of a device token.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct DeviceTokenContent {
    pub(crate) device: DeviceId,
    pub(crate) issued_at: Timestamp,
    /// A MAC over the address, the client and the device.
    pub(crate) binding: Binding,
}

impl DeviceTokenContent {
    /// Writes and seals the token: 69 bytes, or 92 characters.
    pub(crate) fn seal(&self, keyring: &Keyring) -> DeviceToken {
        let keys = keyring.active();
        let mut token = Writer::new(VERSION, keys);
        token.put(self.device.as_bytes());
        token.put(&self.issued_at.as_unix_millis().to_be_bytes());
        token.put(self.binding.as_bytes());
        DeviceToken::new(token.seal(&keys.device_tokens, None))
    }

    /// Reads a token that this server sealed, and that is younger than `validity`. A token from the future means that
    /// the clock was set back, and is refused.
    pub(crate) fn unseal(
        token: &PresentedSecret<'_>,
        validity: Duration,
        keyring: &Keyring,
        now: Timestamp,
    ) -> Result<Self, NotSealed> {
        let mut bytes = [0; DEVICE_TOKEN_LEN];
        let no_asker = |version| if version == VERSION { Ok(None) } else { Err(NotSealed) };
        let (_, mut reader) = Reader::open(token, &mut bytes, keyring, |keys| &keys.device_tokens, no_asker)?;
        let content = Self {
            device: DeviceId::from_bytes(reader.take()?),
            issued_at: Timestamp::from_unix_millis(u64::from_be_bytes(reader.take()?)),
            binding: Binding::from_bytes(reader.take()?),
        };
        let is_old = now.has_reached(content.issued_at.after(validity));
        let is_from_the_future = now.until(content.issued_at) > CLOCK_TOLERANCE;
        if is_old || is_from_the_future { Err(NotSealed) } else { Ok(content) }
    }
}

/// The token was not sealed by this server or for this asker, was altered, or has expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotSealed;

/// Writes version, key identifier and content, and then the MAC over all of them and the asker.
struct Writer {
    bytes: [u8; LONGEST],
    len: usize,
}

impl Writer {
    fn new(version: u8, keys: &SealingKeys) -> Self {
        let mut writer = Self { bytes: [0; LONGEST], len: 0 };
        writer.put(&[version]);
        writer.put(keys.id.as_bytes());
        writer
    }

    fn put(&mut self, part: &[u8]) {
        let end = self.len.saturating_add(part.len());
        if let Some(room) = self.bytes.get_mut(self.len..end) {
            room.copy_from_slice(part);
            self.len = end;
        }
    }

    fn seal(mut self, key: &hmac::Key, asker: Option<&Asker>) -> String {
        let mac = seal_of(key, self.bytes.get(..self.len).unwrap_or_default(), asker);
        self.put(mac.as_ref());
        BASE64URL.encode(self.bytes.get(..self.len).unwrap_or_default())
    }
}

/// Reads the content of a token whose MAC was right.
struct Reader<'b> {
    rest: &'b [u8],
}

impl<'b> Reader<'b> {
    fn open<const LEN: usize>(
        token: &PresentedSecret<'_>,
        bytes: &'b mut [u8; LEN],
        keyring: &Keyring,
        key: fn(&SealingKeys) -> &hmac::Key,
        asker: impl FnOnce(u8) -> Result<Option<Asker>, NotSealed>,
    ) -> Result<(Option<Asker>, Self), NotSealed> {
        // The length is checked first. A token that is too long is not decoded.
        let text = token.expose_secret();
        if text.len() != base64::encoded_len(LEN, false).unwrap_or_default() {
            return Err(NotSealed);
        }
        BASE64URL.decode_slice_unchecked(text, bytes.as_mut_slice()).map_err(|_| NotSealed)?;
        let (content, mac) = bytes.split_last_chunk::<MAC_LEN>().ok_or(NotSealed)?;
        let mut reader = Self { rest: content };
        let [version] = reader.take::<1>()?;
        let asker = asker(version)?;
        let keys = keyring.find(&KeyId::from_bytes(reader.take()?)).ok_or(NotSealed)?;
        let is_right: bool = seal_of(key(keys), content, asker.as_ref()).as_ref().ct_eq(mac).into();
        if is_right { Ok((asker, reader)) } else { Err(NotSealed) }
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], NotSealed> {
        let (part, rest) = self.rest.split_first_chunk::<N>().ok_or(NotSealed)?;
        self.rest = rest;
        Ok(*part)
    }
}

/// Returns the MAC over the content of a token and its asker. Without an asker, it is the MAC over the content alone.
fn seal_of(key: &hmac::Key, content: &[u8], asker: Option<&Asker>) -> hmac::Tag {
    let mut mac = hmac::Context::with_key(key);
    mac.update(content);
    if let Some(asker) = asker {
        mac.update(asker.as_bytes());
    }
    mac.sign()
}

/// Returns the version of an otp_token, which says what its asker was made from.
fn version(asker: Option<&Asker>) -> u8 {
    match asker.map(Asker::parts) {
        None => VERSION,
        Some(AskerParts::Challenge) => VERSION_WITH_CHALLENGE,
        Some(AskerParts::Key) => VERSION_WITH_KEY,
        Some(AskerParts::Both) => VERSION_WITH_BOTH,
    }
}

const VERSION: u8 = 1;
const VERSION_WITH_CHALLENGE: u8 = 2;
const VERSION_WITH_KEY: u8 = 3;
const VERSION_WITH_BOTH: u8 = 4;
const MAC_LEN: usize = 32;
const OTP_TOKEN_LEN: usize = 1 + KeyId::LEN + ChallengeId::LEN + 8 + Binding::LEN + MAC_LEN;
const DEVICE_TOKEN_LEN: usize = 1 + KeyId::LEN + DeviceId::LEN + 8 + Binding::LEN + MAC_LEN;
const REFRESH_TOKEN_LEN: usize = 1 + KeyId::LEN + SessionId::LEN + 4 + 8 + 15 + MAC_LEN;
const LONGEST: usize = REFRESH_TOKEN_LEN;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::secret::keyring::MasterKey;

    fn keyring(byte: u8) -> Keyring {
        let master = MasterKey::from_bytes(&[byte; 32]).unwrap();
        Keyring::new(&master, &master)
    }

    fn content() -> OtpTokenContent {
        OtpTokenContent {
            challenge: ChallengeId::from_bytes([1; 32]),
            expires_at: Timestamp::from_unix_secs(300),
            binding: Binding::from_bytes([2; 16]),
            asker: None,
        }
    }

    fn unseal(text: &str, keyring: &Keyring, secs: u64) -> Option<OtpTokenContent> {
        unseal_by(text, Shown::default(), keyring, secs)
    }

    fn unseal_by(text: &str, shown: Shown<'_>, keyring: &Keyring, secs: u64) -> Option<OtpTokenContent> {
        OtpTokenContent::unseal(&PresentedSecret::new(text), shown, keyring, Timestamp::from_unix_secs(secs)).ok()
    }

    fn challenge(verifier: &str) -> CodeChallenge {
        CodeChallenge::of_verifier(&verifier.repeat(43)).unwrap()
    }

    #[test]
    fn what_was_sealed_is_read_back_until_it_expires() {
        let token = content().seal(&keyring(1));
        assert!(unseal(token.expose_secret(), &keyring(1), 299) == Some(content()));
        assert!(unseal(token.expose_secret(), &keyring(1), 300).is_none());
        assert!(unseal(token.expose_secret(), &keyring(2), 0).is_none());
    }

    #[test]
    fn a_token_of_an_accepted_secret_is_read() {
        let (old, new) = (MasterKey::from_bytes(&[1; 32]).unwrap(), MasterKey::from_bytes(&[2; 32]).unwrap());
        let token = content().seal(&Keyring::new(&old, &old));
        assert!(unseal(token.expose_secret(), &Keyring::new(&old, &new).accepting(&old), 0).is_some());
        assert!(unseal(token.expose_secret(), &Keyring::new(&old, &new), 0).is_none());
    }

    #[test]
    fn every_altered_position_is_refused() {
        let token = content().seal(&keyring(1)).expose_secret().to_owned();
        for position in 0..token.len() {
            for replacement in ['A', 'B', '_', '=', '+', ' '] {
                let mut altered: Vec<char> = token.chars().collect();
                if altered[position] == replacement {
                    continue;
                }
                altered[position] = replacement;
                let altered: String = altered.into_iter().collect();
                assert!(unseal(&altered, &keyring(1), 0).is_none(), "{position} {replacement}");
            }
            assert!(unseal(&token[..position], &keyring(1), 0).is_none());
        }
        assert!(unseal(&format!("{token}A"), &keyring(1), 0).is_none());
        assert!(unseal(&format!("{token}="), &keyring(1), 0).is_none());
    }

    /// Tokens in flight survive the upgrade from a version without askers, and a host of that version reads them.
    #[test]
    fn a_token_without_an_asker_is_what_earlier_versions_seal() {
        let sealed_by_0_1 = concat!(
            "AbAHl48BAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQAAAAAABJPgAgICAgICAgICAgICAgICAiSjovwJvo",
            "T8hXf8EATSXOYaqea6hV_7y5yLLu8nUJEO",
        );
        assert_eq!(content().seal(&keyring(1)).expose_secret(), sealed_by_0_1);
        assert!(unseal(sealed_by_0_1, &keyring(1), 299) == Some(content()));
    }

    #[test]
    fn a_token_is_read_for_the_asker_that_it_was_sealed_for_and_no_other() {
        let (keyring, one, other) = (keyring(1), challenge("1"), challenge("2"));
        let length = content().seal(&keyring).expose_secret().len();
        let (keys, none) = ([[1; 32], [2; 32]], Shown::default());
        let by = |challenge, key| Shown { challenge, key };
        let asked = [(None, None), (Some(&one), None), (None, Some(&keys[0])), (Some(&one), Some(&keys[0]))];
        let shown = [none, by(Some(&one), None), by(None, Some(&keys[0])), by(Some(&one), Some(&keys[0]))];
        let others = [
            by(Some(&other), None),
            by(None, Some(&keys[1])),
            by(Some(&other), Some(&keys[0])),
            by(Some(&one), Some(&keys[1])),
        ];
        // Which of `shown` and then of `others` each token is read for: a further key is ignored, a further challenge
        // is not.
        let read_for = [[0, 2, 5].as_slice(), &[1, 3, 7], &[2], &[3]];
        for (version, ((challenge, key), read_for)) in (1_u8..).zip(asked.into_iter().zip(read_for)) {
            let content = OtpTokenContent { asker: keyring.asker(challenge, key), ..content() };
            let token = content.seal(&keyring);
            assert_eq!(token.expose_secret().len(), length);
            assert_eq!(BASE64URL.decode(token.expose_secret()).unwrap()[0], version);
            for (index, shown) in shown.into_iter().chain(others).enumerate() {
                let read = unseal_by(token.expose_secret(), shown, &keyring, 299);
                assert!(read == read_for.contains(&index).then_some(content), "{version} {index}");
            }
            assert!(unseal_by(token.expose_secret(), shown[usize::from(version) - 1], &keyring, 300).is_none());
        }
    }

    #[test]
    fn no_version_is_read_as_another() {
        let (keyring, challenge) = (keyring(1), challenge("1"));
        let content = OtpTokenContent { asker: keyring.asker(Some(&challenge), None), ..content() };
        let sealed = BASE64URL.decode(content.seal(&keyring).expose_secret()).unwrap();
        let keys = [None, Some(&[0; 32])];
        for version in (0..=255_u8).filter(|version| *version != VERSION_WITH_CHALLENGE) {
            let mut altered = sealed.clone();
            altered[0] = version;
            for (challenge, key) in
                [None, Some(&challenge)].into_iter().flat_map(|challenge| keys.map(|key| (challenge, key)))
            {
                let read = unseal_by(&BASE64URL.encode(&altered), Shown { challenge, key }, &keyring, 0);
                assert!(read.is_none(), "{version}");
            }
        }
    }

    #[test]
    fn the_asker_is_not_in_the_token() {
        let (keyring, challenge) = (keyring(1), challenge("1"));
        let asker = keyring.asker(Some(&challenge), None);
        let sealed = BASE64URL.decode(OtpTokenContent { asker, ..content() }.seal(&keyring).expose_secret()).unwrap();
        for absent in [asker.unwrap().as_bytes().as_slice(), &challenge.as_bytes()[..16]] {
            assert!(!sealed.windows(16).any(|window| window == absent));
        }
    }

    #[test]
    fn a_refresh_token_has_128_characters_and_is_no_otp_token() {
        let content = RefreshTokenContent {
            session: SessionId::from_bytes([3; 32]),
            generation: 0,
            expires_at: Timestamp::from_unix_secs(300),
            client_mark: [4; 15],
        };
        let token = content.seal(&keyring(1), None);
        assert_eq!(token.expose_secret().len(), 128);
        assert_eq!(token.expose_secret(), content.seal(&keyring(1), None).expose_secret());
        assert!(unseal(token.expose_secret(), &keyring(1), 0).is_none());
        let mut asked = BASE64URL.decode(token.expose_secret()).unwrap();
        asked[0] = VERSION_WITH_CHALLENGE;
        let asked = BASE64URL.encode(&asked);
        let now = Timestamp::default();
        assert!(RefreshTokenContent::unseal(&PresentedSecret::new(asked), &keyring(1), now).is_err());

        let read = |secret, secs| {
            let presented = PresentedSecret::new(token.expose_secret());
            RefreshTokenContent::unseal(&presented, &keyring(secret), Timestamp::from_unix_secs(secs)).ok()
        };
        assert!(read(1, 299) == Some(content));
        assert!(read(1, 300).is_none() && read(2, 0).is_none());
    }

    #[test]
    fn a_device_token_is_read_while_it_is_valid_and_by_a_clock_that_is_a_little_behind() {
        let content = DeviceTokenContent {
            device: DeviceId::from_bytes([3; 8]),
            issued_at: Timestamp::from_unix_secs(1_000),
            binding: Binding::from_bytes([2; 16]),
        };
        let token = content.seal(&keyring(1));
        let read = |millis| {
            let (token, validity) = (PresentedSecret::new(token.expose_secret()), Duration::from_secs(60));
            DeviceTokenContent::unseal(&token, validity, &keyring(1), Timestamp::from_unix_millis(millis)).ok()
        };
        let tolerance = u64::try_from(CLOCK_TOLERANCE.as_millis()).unwrap();
        for millis in [1_000_000 - tolerance, 1_000_000, 1_059_999] {
            assert!(read(millis) == Some(content), "{millis}");
        }
        for millis in [0, 999_999 - tolerance, 1_060_000] {
            assert!(read(millis).is_none(), "{millis}");
        }
    }
}
