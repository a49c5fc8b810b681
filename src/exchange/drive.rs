//! Runs an exchange over the async ports.

use core::fmt;
use core::future::Future;

use crate::directory::Directory;
use crate::exchange::outcome::Outcome;
use crate::exchange::step::Step;
use crate::jwt::signer::Signer;
use crate::server::Delivery;
use crate::store::Store;
use crate::wire::reply::Reply;

/// Runs an exchange to its end over a [`Store`] and a [`Directory`], as an
/// [`AuthorizationServer`](crate::AuthorizationServer) runs its requests.
///
/// A host can take the first steps itself and leave the rest to its async ports. The signer is asked only for an
/// [external key](crate::SigningKey::external), and [`NoSigner`] is for a host that has none.
pub async fn drive<T: Outcome, F>(
    mut step: Step<T>,
    store: &impl Store,
    directory: &impl Directory,
    signer: &impl Signer,
    deliver: impl FnOnce(Delivery) -> F,
) -> T
where
    F: Future<Output = Reply>,
{
    let mut deliver = Some(deliver);
    loop {
        step = match step {
            Step::Load(ask) => match store.load(ask.question()).await {
                Ok(record) => ask.answer(record),
                Err(error) => ask.failed(error),
            },
            Step::Swap(ask) => {
                let swap = ask.question();
                match store.swap(&swap.key, swap.expected, &swap.next).await {
                    Ok(outcome) => ask.answer(outcome),
                    Err(error) => ask.failed(error),
                }
            }
            Step::Client(ask) => match directory.client(ask.question()).await {
                Ok(client) => ask.answer(client),
                Err(error) => ask.failed(error),
            },
            Step::AuthSource(ask) => match directory.auth_source(ask.question()).await {
                Ok(source) => ask.answer(source),
                Err(error) => ask.failed(error),
            },
            Step::UserByAddress(ask) => match directory.user_by_address(ask.question()).await {
                Ok(user) => ask.answer(user),
                Err(error) => ask.failed(error),
            },
            Step::UserBySubject(ask) => match directory.user_by_subject(ask.question()).await {
                Ok(user) => ask.answer(user),
                Err(error) => ask.failed(error),
            },
            Step::UserClaims(ask) => {
                let asked = ask.question();
                match directory.user_claims(&asked.subject, &asked.client, &asked.scope).await {
                    Ok(claims) => ask.answer(claims),
                    Err(error) => ask.failed(error),
                }
            }
            Step::SignUp(ask) => match directory.sign_up(ask.question()).await {
                Ok(outcome) => ask.answer(outcome),
                Err(error) => ask.failed(error),
            },
            Step::GrantedScope(ask) => {
                let asked = ask.question();
                match directory.granted_scope(&asked.user, &asked.client, asked.requested.clone()).await {
                    Ok(scope) => ask.answer(scope),
                    Err(error) => ask.failed(error),
                }
            }
            Step::AccessTokenClaims(ask) => {
                let asked = ask.question();
                match directory.access_token_claims(&asked.subject, &asked.client, &asked.scope).await {
                    Ok(claims) => ask.answer(claims),
                    Err(error) => ask.failed(error),
                }
            }
            Step::Sign(ask) => match signer.sign(&ask.question().message).await {
                Ok(signature) => ask.answer(signature),
                Err(error) => ask.failed(error),
            },
            Step::Deliver(ask) => match deliver.take() {
                Some(deliver) => {
                    let (delivery, handed_out) = ask.hand_out();
                    handed_out.replied(deliver(delivery).await)
                }
                None => ask.refuse(),
            },
            Step::Done(outcome) => return outcome,
        };
    }
}

/// The signer of a host without an external key. It signs nothing.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "a host writes its name, and there is nothing to set")]
pub struct NoSigner;

impl Signer for NoSigner {
    type Error = NoExternalKey;

    async fn sign(&self, _: &[u8]) -> Result<Vec<u8>, NoExternalKey> {
        Err(NoExternalKey(()))
    }
}

/// A signature of an external key was asked of [`NoSigner`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoExternalKey(());

impl fmt::Display for NoExternalKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the host has no signer for its external key")
    }
}

impl core::error::Error for NoExternalKey {}
