//! The OTP grant: a code is redeemed for tokens.

use crate::address::Address;
use crate::authenticator::{Authenticator, Proven, RedeemChallenge};
use crate::client::AuthenticatedClient;
use crate::config::Settings;
use crate::directory::Directory;
use crate::error::TokenError;
use crate::flow::commit::Held;
use crate::flow::draw::Draw;
use crate::flow::tokens::Issue;
use crate::flow::{ClientRefused, Core, Guess, GuessRefused, Proof, SourceRefused};
use crate::grant::{Grant, Usage};
use crate::id::{Mark, RecordKey, SessionId};
use crate::observer::Event;
use crate::reply::TokenResponse;
use crate::request::OtpGrantRequest;
use crate::scope::Scope;
use crate::sealed::OtpTokenContent;
use crate::session::{Login, Session};
use crate::store::Store;
use crate::time::CLOCK_TOLERANCE;
use crate::user::{User, UserStatus};

impl<S: Store, D: Directory> Core<S, D> {
    /// Checks in the order of the contract, and commits last.
    pub(crate) async fn otp_grant(&self, request: OtpGrantRequest<'_>) -> Result<TokenResponse, TokenError> {
        let mut draw = Draw::new();
        let address = &request.address;
        let channel = address.channel();

        // What can be told without the record of the address. Nothing here costs a guess.
        let client = self.authenticate(&request.credentials).await?;
        if !client.may_use(Grant::otp(channel)) {
            return Err(TokenError::UnauthorizedClient);
        }
        let source = self.auth_source(&client, &request.auth_source, channel).await?;
        let token = OtpTokenContent::unseal(&request.otp_token, &self.keyring, self.clock.now())
            .map_err(|_| TokenError::UnknownOtpToken)?;
        let sent_for = self.keyring.binding(client.id(), Some(source.id()), address, Usage::Login);
        if token.binding != sent_for {
            return Err(TokenError::MismatchedOtpToken);
        }
        let asked = request.scope.get().map_err(|_| TokenError::InvalidScope)?;
        let scope = client.grant_scope(asked).map_err(|_| TokenError::InvalidScope)?;

        // The guess is charged, and only then is the code compared.
        let key = self.keyring.authenticator_key(address, &self.settings.rules.addresses);
        let mark = Mark::from_bytes(self.random(&mut draw)?);
        let session_id = SessionId::from_bytes(self.random(&mut draw)?);
        let spender = Mark::of_session(&session_id);
        let guess = Guess { key, token: &token, mark, presented: &request.otp, policy: source.code() };
        let (proof, held) = self.prove(client.id(), guess, &mut draw).await?;

        let mut held = Some(held);
        let granted = match proof {
            Proof::Spendable(proven) => {
                let login = ProvenLogin { client: &client, address, key, auto_signup: request.auto_signup, scope };
                self.log_in(login, &proven, session_id, &mut held, &mut draw).await
            }
            Proof::Repeated(session) => self.repeat_login(&client, session, &mut draw).await,
        };
        // What failed for no fault of the client's costs no guess; nor does the repetition of an answer.
        let is_given_back = match &granted {
            Err(TokenError::TemporarilyUnavailable) => true,
            granted => granted.is_ok() && held.is_some(),
        };
        if is_given_back {
            self.release(held.take(), &guess, spender, &mut draw).await;
        }
        granted
    }

    /// Logs a user in whose address is proved: from here on the answer may tell of them.
    async fn log_in(
        &self,
        login: ProvenLogin<'_>,
        proven: &Proven,
        session_id: SessionId,
        held: &mut Option<Held<Authenticator>>,
        draw: &mut Draw,
    ) -> Result<TokenResponse, TokenError> {
        let ProvenLogin { client, address, key, auto_signup, scope } = login;
        let user = match self.asked(self.directory.user_by_address(address).await)? {
            Some(user) => user,
            None if auto_signup => {
                let user = self.asked(self.directory.sign_up(address).await)?.ok_or(TokenError::UserNotFound)?;
                self.observer.event(&Event::SignedUp { client: client.id(), address: key, subject: &user.subject });
                user
            }
            None => return Err(TokenError::UserNotFound),
        };
        let now = self.clock.now();
        let User { subject, status, tokens_valid_after } = user;
        let may_not_yet = tokens_valid_after.is_some_and(|after| now.until(after) > CLOCK_TOLERANCE);
        if status != UserStatus::Active || may_not_yet {
            return Err(TokenError::UserNotActive);
        }

        // Everything is made ready; the swap that spends the challenge comes last and releases it.
        let channel = address.channel();
        let sealed_under = self.keyring.names_its_key();
        let client_id = client.id().clone();
        let login =
            Login { client: client_id, subject, scope: scope.clone(), channel, tokens_valid_after, sealed_under };
        let Settings { session_validity, token_validity, repeat_window, .. } = &self.settings;
        let session = Session::open(login, session_validity, token_validity.access_token, now);
        self.insert(self.keyring.session_key(&session_id), &session, draw).await?;
        let prepared = self.prepare(Issue { session: &session, session_id, scope, number: 0, now }, draw).await?;
        let client_mark = self.keyring.client_mark(client.id());
        let refresh_token = self.refresh_token(client, client_mark, session_id, session.refresh_token());
        let repeatable = (!repeat_window.is_zero()).then_some(session_id);
        let redeem = RedeemChallenge { proven, spender: Mark::of_session(&session_id), session: repeatable };
        let held = held.take().ok_or(TokenError::TemporarilyUnavailable)?;
        let redeemed = self.spend(held, &redeem, draw).await?;

        let subject = session.subject();
        self.observer.event(&Event::LoggedIn { client: client.id(), address: key, subject, session: session_id });
        Ok(prepared.release(redeemed, refresh_token))
    }

    /// Answers a right code again whose first answer was lost: with the same session, as long as nobody has used it.
    async fn repeat_login(
        &self,
        client: &AuthenticatedClient,
        session_id: SessionId,
        draw: &mut Draw,
    ) -> Result<TokenResponse, TokenError> {
        let held = self.load::<Session>(self.keyring.session_key(&session_id)).await?;
        let unused = held.state().filter(|session| session.is_unused() && !session.is_over(held.now()));
        let session = unused.ok_or(TokenError::UnknownOtpToken)?;
        if !self.user_may_go_on(session).await? {
            return Err(TokenError::UserNotActive);
        }
        let scope = session.scope().clone();
        let now = self.clock.now();
        let prepared = self.prepare(Issue { session, session_id, scope, number: 0, now }, draw).await?;
        let client_mark = self.keyring.client_mark(client.id());
        let refresh_token = self.refresh_token(client, client_mark, session_id, session.refresh_token());
        let (client, subject) = (client.id(), session.subject());
        self.observer.event(&Event::LoginRepeated { client, subject, session: session_id });
        Ok(prepared.release(Repeated(()), refresh_token))
    }
}

/// A login whose code was right.
struct ProvenLogin<'a> {
    client: &'a AuthenticatedClient,
    address: &'a Address,
    key: RecordKey,
    auto_signup: bool,
    scope: Scope,
}

/// The proof that a code was right whose challenge is spent, and that its session is unused.
pub(crate) struct Repeated(());

impl From<ClientRefused> for TokenError {
    fn from(refused: ClientRefused) -> Self {
        match refused {
            ClientRefused::Invalid { basic } => Self::InvalidClient { basic },
            ClientRefused::Unavailable => Self::TemporarilyUnavailable,
        }
    }
}

impl From<SourceRefused> for TokenError {
    fn from(refused: SourceRefused) -> Self {
        match refused {
            SourceRefused::NotAssociated => Self::InvalidAuthSource,
            SourceRefused::Unavailable => Self::TemporarilyUnavailable,
        }
    }
}

impl From<GuessRefused> for TokenError {
    fn from(refused: GuessRefused) -> Self {
        match refused {
            GuessRefused::NoSuchChallenge => Self::UnknownOtpToken,
            GuessRefused::Wrong { attempts_remaining } => Self::UnknownOtp { attempts_remaining },
            GuessRefused::Unavailable => Self::TemporarilyUnavailable,
        }
    }
}
