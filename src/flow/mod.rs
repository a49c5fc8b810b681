//! The flows: one endpoint per file, each read from its first line to its last.

pub(crate) mod access_token;
mod commit;
mod draw;
mod introspect;
mod otp_grant;
mod refresh_grant;
mod revoke;
pub(crate) mod send_otp;
mod tokens;
mod userinfo;
pub(crate) mod verify_otp;

use std::sync::Arc;

use crate::access_token::AccessTokenVerifier;
use crate::address::Channel;
use crate::authenticator::{Authenticator, Gone, Proven, Redeemed, Reserved, WrongCode};
use crate::client::{AuthSource, AuthenticatedClient, CodePolicy};
use crate::clock::Clock;
use crate::code::{self, CodeSource};
use crate::config::Settings;
use crate::directory::Directory;
use crate::entropy::Entropy;
use crate::error::Unavailable;
use crate::flow::commit::{Attempt, Held, Refused};
use crate::flow::draw::Draw;
use crate::id::{AuthSourceId, ClientId, Issuer, Mark, RecordKey};
use crate::keyring::Keyring;
use crate::observer::{Event, Observer};
use crate::request::ClientCredentials;
use crate::sealed::OtpTokenContent;
use crate::secret::PresentedSecret;
use crate::signing_keys::SigningKeys;
use crate::store::Store;

/// What every flow works with: the ports, the keys and the settings.
pub(crate) struct Core<S, D> {
    pub(crate) issuer: Issuer,
    pub(crate) settings: Settings,
    pub(crate) keyring: Keyring,
    pub(crate) signing_keys: SigningKeys,
    pub(crate) verifier: AccessTokenVerifier,
    pub(crate) store: S,
    pub(crate) directory: D,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) observer: Arc<dyn Observer>,
}

/// Why a client was turned away.
pub(crate) enum ClientRefused {
    Invalid { basic: bool },
    Unavailable,
}

/// Why an auth source was turned away.
pub(crate) enum SourceRefused {
    NotAssociated,
    Unavailable,
}

impl<S: Store, D: Directory> Core<S, D> {
    /// Finds out who asks (RFC 6749 section 2.3).
    pub(crate) async fn authenticate(
        &self,
        credentials: &ClientCredentials<'_>,
    ) -> Result<AuthenticatedClient, ClientRefused> {
        let (id, secret, basic) = match credentials {
            ClientCredentials::Named { id, secret, basic } => (id, secret, basic),
            ClientCredentials::Unreadable { basic } => return Err(ClientRefused::Invalid { basic: *basic }),
        };
        let known = self.asked(self.directory.client(id).await).map_err(|Unavailable| ClientRefused::Unavailable)?;
        AuthenticatedClient::authenticate(known, secret.as_ref()).map_err(|_| ClientRefused::Invalid { basic: *basic })
    }

    /// Finds the auth source that the client may use on this channel.
    pub(crate) async fn auth_source(
        &self,
        client: &AuthenticatedClient,
        id: &AuthSourceId,
        channel: Channel,
    ) -> Result<Arc<AuthSource>, SourceRefused> {
        let source =
            self.asked(self.directory.auth_source(id).await).map_err(|Unavailable| SourceRefused::Unavailable)?;
        client.associated(source, channel).map_err(|_| SourceRefused::NotAssociated)
    }

    /// Charges one guess, and compares the code only once that is stored.
    async fn prove(
        &self,
        client: &ClientId,
        guess: Guess<'_>,
        draw: &mut Draw,
    ) -> Result<(Proven, Held<Authenticator>), GuessRefused> {
        let mark = Mark::from_bytes(self.random(draw)?);
        let held = self.load_authenticator(guess.key, draw).await?;
        let reserve = |state: Option<Authenticator>, attempt: Attempt| {
            state.ok_or(Gone)?.reserve(&guess.token.challenge, mark, &self.settings.limits, attempt.now)
        };
        let is_ours = |state: &Authenticator| state.has_reserved(&guess.token.challenge, &mark);
        let (reserved, held): (Reserved, _) = self
            .update(held, reserve, is_ours, draw)
            .await
            .map_err(|refused| self.exhausted(client, guess.key, refused))?;

        let (key, nonce) = reserved.code_source();
        // A code whose key has been retired can't be right any more; its guess is charged like any other.
        let code = code::derive(
            &self.keyring,
            key,
            CodeSource { record: &guess.key, binding: &guess.token.binding, nonce },
            guess.policy,
        )
        .ok_or(GuessRefused::Gone)?;
        let WrongCode { attempts_remaining } = match reserved.compare(&code, guess.presented) {
            Ok(proven) => return Ok((proven, held)),
            Err(wrong) => wrong,
        };
        self.observer.event(&Event::WrongCode { client, address: guess.key, attempts_remaining });
        Err(GuessRefused::Wrong { attempts_remaining })
    }

    /// Spends the challenge: the last write, after which what was prepared may be released.
    async fn spend(
        &self,
        held: Held<Authenticator>,
        token: &OtpTokenContent,
        proven: &Proven,
        spender: Mark,
        draw: &mut Draw,
    ) -> Result<Redeemed, GuessRefused> {
        let redeem =
            |state: Option<Authenticator>, attempt: Attempt| state.ok_or(Gone)?.redeem(proven, spender, attempt.now);
        let is_ours = |state: &Authenticator| state.was_spent_by(&token.challenge, &spender);
        let (redeemed, _) = self.update(held, redeem, is_ours, draw).await?;
        Ok(redeemed)
    }

    /// What the directory answered.
    pub(crate) fn asked<T>(&self, answer: Result<T, D::Error>) -> Result<T, Unavailable> {
        answer.map_err(|error| {
            self.observer.event(&Event::DirectoryFailed { error: &error });
            Unavailable
        })
    }

    fn exhausted(&self, client: &ClientId, address: RecordKey, refused: Refused<Gone>) -> GuessRefused {
        if matches!(refused, Refused::ByRule(Gone)) {
            self.observer.event(&Event::Exhausted { client, address });
        }
        refused.into()
    }

    pub(crate) fn faulted(&self, error: &(dyn core::error::Error + 'static)) -> Unavailable {
        self.observer.event(&Event::Faulted { error });
        Unavailable
    }
}

/// A code that is presented for a challenge.
#[derive(Clone, Copy)]
struct Guess<'a> {
    key: RecordKey,
    token: &'a OtpTokenContent,
    presented: &'a PresentedSecret<'a>,
    policy: &'a CodePolicy,
}

/// Why a guess led to nothing.
enum GuessRefused {
    Gone,
    Wrong { attempts_remaining: usize },
    Unavailable,
}

impl From<Unavailable> for GuessRefused {
    fn from(_: Unavailable) -> Self {
        Self::Unavailable
    }
}

impl From<Refused<Gone>> for GuessRefused {
    fn from(refused: Refused<Gone>) -> Self {
        match refused {
            Refused::ByRule(Gone) => Self::Gone,
            Refused::Unavailable => Self::Unavailable,
        }
    }
}
