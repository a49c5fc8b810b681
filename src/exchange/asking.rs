//! The ports of one exchange: each call becomes a question.

use core::fmt;
use std::sync::Arc;

use crate::address::Address;
use crate::directory::{AuthSource, Client, ClientRegistry, CustomClaims, SignUp, User, UserClaims, UserStore};
use crate::erased::ErasedError;
use crate::exchange::mailbox::{Mailbox, Misplaced, Unanswered};
use crate::exchange::question::{
    Answer, ClaimsQuestion, Delivered, Question, ScopeQuestion, SigningQuestion, SwapQuestion,
};
use crate::id::{AuthSourceId, ClientId, RecordKey, Subject, Tag};
use crate::jwt::signer::Signer;
use crate::scope::Scope;
use crate::server::Delivery;
use crate::store::{Record, Store, Swap};

/// Asks a question, and waits for the answer of its name.
///
/// A mailbox gives no other answer to who asks. Another one would be a failure, and not a refusal, for which some
/// questions have a default.
macro_rules! ask {
    ($asking:ident, $name:ident($question:expr)) => {
        match $asking.0.ask(Question::$name($question)).await {
            Ok(Answer::$name(answer)) => Ok(answer),
            Ok(_) => Err(Unanswered::Failed(ErasedError::new(Misplaced))),
            Err(unanswered) => Err(unanswered),
        }
    };
}

/// The store and the directory of one exchange. Each call is a [`Step`](crate::exchange::Step) of the exchange.
#[derive(Clone)]
pub struct Asking(Arc<Mailbox>);

impl Asking {
    pub(crate) fn new(mailbox: Arc<Mailbox>) -> Self {
        Self(mailbox)
    }

    pub(crate) async fn deliver(&self, delivery: Delivery) -> Result<Delivered, Unanswered> {
        ask!(self, Deliver(Box::new(delivery)))
    }
}

impl Store for Asking {
    type Error = ErasedError;

    async fn load(&self, key: &RecordKey) -> Result<Option<Record>, ErasedError> {
        Ok(ask!(self, Load(*key))?.map(|record| *record))
    }

    async fn swap(&self, key: &RecordKey, expected: Option<Tag>, next: &Record) -> Result<Swap, ErasedError> {
        let swap = SwapQuestion { key: *key, expected, next: Box::new(next.clone()) };
        Ok(ask!(self, Swap(swap))?)
    }
}

impl ClientRegistry for Asking {
    type Error = ErasedError;

    async fn client(&self, id: &ClientId) -> Result<Option<Arc<Client>>, ErasedError> {
        Ok(ask!(self, Client(id.clone()))?)
    }

    async fn auth_source(&self, id: &AuthSourceId) -> Result<Option<Arc<AuthSource>>, ErasedError> {
        Ok(ask!(self, AuthSource(id.clone()))?)
    }
}

impl UserStore for Asking {
    type Error = ErasedError;

    async fn user_by_address(&self, address: &Address) -> Result<Option<User>, ErasedError> {
        Ok(ask!(self, UserByAddress(address.clone()))?)
    }

    async fn user_by_subject(&self, subject: &Subject) -> Result<Option<User>, ErasedError> {
        Ok(ask!(self, UserBySubject(subject.clone()))?)
    }

    async fn user_claims(
        &self,
        subject: &Subject,
        client: &ClientId,
        scope: &Scope,
    ) -> Result<UserClaims, ErasedError> {
        let question = claims_question(subject, client, scope);
        Ok(ask!(self, UserClaims(question))?)
    }

    async fn sign_up(&self, address: &Address) -> Result<SignUp, ErasedError> {
        match ask!(self, SignUp(address.clone())) {
            Err(Unanswered::Refused) => Ok(SignUp::Refused),
            answered => Ok(answered?),
        }
    }

    async fn granted_scope(
        &self,
        user: &User,
        client: &ClientId,
        requested: Scope,
    ) -> Result<Option<Scope>, ErasedError> {
        let question = ScopeQuestion { user: user.clone(), client: client.clone(), requested: requested.clone() };
        match ask!(self, GrantedScope(question)) {
            Err(Unanswered::Refused) => Ok(Some(requested)),
            answered => Ok(answered?),
        }
    }

    async fn access_token_claims(
        &self,
        subject: &Subject,
        client: &ClientId,
        scope: &Scope,
    ) -> Result<CustomClaims, ErasedError> {
        let question = claims_question(subject, client, scope);
        match ask!(self, AccessTokenClaims(question)) {
            Err(Unanswered::Refused) => Ok(CustomClaims::new()),
            answered => Ok(answered?),
        }
    }
}

/// Signs for a key that is outside the server, which can change there.
impl Signer for Asking {
    type Error = ErasedError;

    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, ErasedError> {
        let question = SigningQuestion { message: message.to_vec() };
        Ok(ask!(self, Sign(question))?)
    }
}

impl fmt::Debug for Asking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asking").finish_non_exhaustive()
    }
}

fn claims_question(subject: &Subject, client: &ClientId, scope: &Scope) -> ClaimsQuestion {
    ClaimsQuestion { subject: subject.clone(), client: client.clone(), scope: scope.clone() }
}
