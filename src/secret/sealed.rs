//! Seals and unseals otp_tokens and refresh tokens. A token that this server did not seal, that was altered or that has
//! expired is refused before any store is asked.

use base64::Engine;
use ring::hmac;

use crate::base64url::BASE64URL;
use crate::id::{Binding, ChallengeId, KeyId, SessionId};
use crate::secret::keyring::{Keyring, SealingKeys};
use crate::secret::{OtpToken, PresentedSecret, RefreshToken};
use crate::time::Timestamp;

/// The content of an otp_token.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct OtpTokenContent {
    pub(crate) challenge: ChallengeId,
    pub(crate) expires_at: Timestamp,
    pub(crate) binding: Binding,
}

impl OtpTokenContent {
    /// Writes and seals the token.
    pub(crate) fn seal(&self, keyring: &Keyring) -> OtpToken {
        let keys = keyring.active();
        let mut token = Writer::new(keys);
        token.put(self.challenge.as_bytes());
        token.put(&self.expires_at.as_unix_millis().to_be_bytes());
        token.put(self.binding.as_bytes());
        OtpToken::new(token.seal(&keys.otp_tokens))
    }

    /// Reads a token that this server sealed and that has not expired.
    pub(crate) fn unseal(token: &PresentedSecret<'_>, keyring: &Keyring, now: Timestamp) -> Result<Self, NotSealed> {
        let mut bytes = [0; OTP_TOKEN_LEN];
        let mut reader = Reader::open(token, &mut bytes, keyring, |keys| &keys.otp_tokens)?;
        let content = Self {
            challenge: ChallengeId::from_bytes(reader.take()?),
            expires_at: Timestamp::from_unix_millis(u64::from_be_bytes(reader.take()?)),
            binding: Binding::from_bytes(reader.take()?),
        };
        if now.has_reached(content.expires_at) { Err(NotSealed) } else { Ok(content) }
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
        let mut token = Writer::new(keys);
        token.put(self.session.as_bytes());
        token.put(&self.generation.to_be_bytes());
        token.put(&self.expires_at.as_unix_millis().to_be_bytes());
        token.put(&self.client_mark);
        RefreshToken::new(token.seal(&keys.refresh_tokens))
    }

    /// Reads a token that this server sealed and that has not expired.
    pub(crate) fn unseal(token: &PresentedSecret<'_>, keyring: &Keyring, now: Timestamp) -> Result<Self, NotSealed> {
        let mut bytes = [0; REFRESH_TOKEN_LEN];
        let mut reader = Reader::open(token, &mut bytes, keyring, |keys| &keys.refresh_tokens)?;
        let content = Self {
            session: SessionId::from_bytes(reader.take()?),
            generation: u32::from_be_bytes(reader.take()?),
            expires_at: Timestamp::from_unix_millis(u64::from_be_bytes(reader.take()?)),
            client_mark: reader.take()?,
        };
        if now.has_reached(content.expires_at) { Err(NotSealed) } else { Ok(content) }
    }
}

/// The token was not sealed by this server, was altered, or has expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotSealed;

/// Writes version, key identifier and content, and then the MAC over all of them.
struct Writer {
    bytes: [u8; LONGEST],
    len: usize,
}

impl Writer {
    fn new(keys: &SealingKeys) -> Self {
        let mut writer = Self { bytes: [0; LONGEST], len: 0 };
        writer.put(&[VERSION]);
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

    fn seal(mut self, key: &hmac::Key) -> String {
        let written = self.bytes.get(..self.len).unwrap_or_default();
        let mac = hmac::sign(key, written);
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
    ) -> Result<Self, NotSealed> {
        // The length is checked first. A token that is too long is not decoded.
        let text = token.expose_secret();
        if text.len() != base64::encoded_len(LEN, false).unwrap_or_default() {
            return Err(NotSealed);
        }
        BASE64URL.decode_slice_unchecked(text, bytes.as_mut_slice()).map_err(|_| NotSealed)?;
        let (content, mac) = bytes.split_last_chunk::<MAC_LEN>().ok_or(NotSealed)?;
        let mut reader = Self { rest: content };
        let [VERSION] = reader.take::<1>()? else { return Err(NotSealed) };
        let keys = keyring.find(&KeyId::from_bytes(reader.take()?)).ok_or(NotSealed)?;
        hmac::verify(key(keys), content, mac).map_err(|_| NotSealed)?;
        Ok(reader)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], NotSealed> {
        let (part, rest) = self.rest.split_first_chunk::<N>().ok_or(NotSealed)?;
        self.rest = rest;
        Ok(*part)
    }
}

const VERSION: u8 = 1;
const MAC_LEN: usize = 32;
const OTP_TOKEN_LEN: usize = 1 + KeyId::LEN + ChallengeId::LEN + 8 + Binding::LEN + MAC_LEN;
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
        }
    }

    fn unseal(text: &str, keyring: &Keyring, secs: u64) -> Option<OtpTokenContent> {
        OtpTokenContent::unseal(&PresentedSecret::new(text), keyring, Timestamp::from_unix_secs(secs)).ok()
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

        let read = |secret, secs| {
            let presented = PresentedSecret::new(token.expose_secret());
            RefreshTokenContent::unseal(&presented, &keyring(secret), Timestamp::from_unix_secs(secs)).ok()
        };
        assert!(read(1, 299) == Some(content));
        assert!(read(1, 300).is_none() && read(2, 0).is_none());
    }
}
