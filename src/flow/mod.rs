//! The flows: one endpoint per file, each read from its first line to its last.

pub(crate) mod access_token;
mod commit;
mod draw;
mod introspect;
pub(crate) mod keyring;
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
use crate::authenticator::{
    Authenticator, NotReserved, Proven, RedeemChallenge, Redeemed, ReleaseGuess, ReserveGuess, WrongCode,
};
use crate::challenge::CodeInFlight;
use crate::client::{AuthSource, AuthenticatedClient, CodePolicy};
use crate::clock::Clock;
use crate::code::{self, CodeSource};
use crate::config::Settings;
use crate::directory::Directory;
use crate::entropy::Entropy;
use crate::error::Unavailable;
use crate::flow::commit::{Held, Refused};
use crate::flow::draw::Draw;
use crate::id::{AuthSourceId, ClientId, Issuer, Mark, RecordKey, SessionId};
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
            ClientCredentials::Named { id, secret, basic } => (id, secret, *basic),
            ClientCredentials::Unreadable { basic } => return Err(self.client_refused(None, *basic)),
        };
        let known = self.asked(self.directory.client(id).await).map_err(|Unavailable| ClientRefused::Unavailable)?;
        AuthenticatedClient::authenticate(known, secret.as_ref()).map_err(|_| self.client_refused(Some(id), basic))
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
    ) -> Result<(Proof, Held<Authenticator>), GuessRefused> {
        let held = self.load_authenticator(guess.key, draw).await?;
        let reserve = ReserveGuess {
            id: guess.token.challenge,
            mark: guess.mark,
            presented: guess.presented,
            policy: guess.policy,
            limits: &self.settings.limits,
            repeat_window: self.settings.repeat_window,
        };
        let (reserved, held) = match self.update(held, &reserve, draw).await {
            Ok(reserved) => reserved,
            Err(refused) => {
                // It may have been charged, and nothing was compared for it.
                if matches!(refused, Refused::Unavailable) {
                    self.release(None, &guess, guess.mark, draw).await;
                }
                return Err(self.exhausted(client, guess.key, refused));
            }
        };

        let repeats = reserved.repeats();
        // A code whose key has been retired can't be right any more; its guess is charged like any other.
        let derive = |code: &CodeInFlight| {
            let source = CodeSource { record: &guess.key, binding: &guess.token.binding, nonce: &code.nonce };
            code::derive(&self.keyring, &code.key, source, &code.shape)
        };
        match (reserved.compare(derive, guess.presented), repeats) {
            (Ok(proven), None) => Ok((Proof::Spendable(proven), held)),
            (Ok(_), Some(session)) => Ok((Proof::Repeated(session), held)),
            (Err(WrongCode { attempts_remaining }), _) => {
                self.observer.event(&Event::WrongCode { client, address: guess.key, attempts_remaining });
                Err(GuessRefused::Wrong { attempts_remaining })
            }
        }
    }

    /// Spends the challenge: the last write, after which what was prepared may be released.
    async fn spend(
        &self,
        held: Held<Authenticator>,
        redeem: &RedeemChallenge<'_>,
        draw: &mut Draw,
    ) -> Result<Redeemed, GuessRefused> {
        let (redeemed, _) = self.update(held, redeem, draw).await?;
        Ok(redeemed)
    }

    /// Gives a guess back whose code was right, after a failure that is not the client's.
    async fn release(&self, held: Option<Held<Authenticator>>, guess: &Guess<'_>, spender: Mark, draw: &mut Draw) {
        let release = ReleaseGuess { mark: guess.mark, spender, limits: &self.settings.limits };
        let _ = self.undo(guess.key, held, &release, draw).await;
    }

    /// What the directory answered.
    pub(crate) fn asked<T>(&self, answer: Result<T, D::Error>) -> Result<T, Unavailable> {
        answer.map_err(|error| {
            self.observer.event(&Event::DirectoryFailed { error: &error });
            Unavailable
        })
    }

    fn exhausted(&self, client: &ClientId, address: RecordKey, refused: Refused<NotReserved>) -> GuessRefused {
        if matches!(refused, Refused::ByRule(NotReserved::NoSuchChallenge)) {
            self.observer.event(&Event::Exhausted { client, address });
        }
        refused.into()
    }

    fn client_refused(&self, client: Option<&ClientId>, basic: bool) -> ClientRefused {
        self.observer.event(&Event::ClientRefused { client });
        ClientRefused::Invalid { basic }
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
    /// Identifies this guess.
    mark: Mark,
    presented: &'a PresentedSecret<'a>,
    policy: &'a CodePolicy,
}

/// What a right code is good for.
enum Proof {
    /// Its challenge can be spent.
    Spendable(Proven),
    /// Its challenge was spent a moment ago, for the login of this session.
    Repeated(SessionId),
}

/// Why a guess led to nothing.
enum GuessRefused {
    NoSuchChallenge,
    Wrong { attempts_remaining: usize },
    Unavailable,
}

impl From<Unavailable> for GuessRefused {
    fn from(_: Unavailable) -> Self {
        Self::Unavailable
    }
}

impl From<Refused<NotReserved>> for GuessRefused {
    fn from(refused: Refused<NotReserved>) -> Self {
        match refused {
            Refused::ByRule(NotReserved::NoSuchChallenge) => Self::NoSuchChallenge,
            Refused::ByRule(NotReserved::NotACode { attempts_remaining }) => Self::Wrong { attempts_remaining },
            Refused::Unavailable => Self::Unavailable,
        }
    }
}
