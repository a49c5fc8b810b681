//! Runs an exchange over the async ports.

use core::future::Future;

use crate::directory::Directory;
use crate::exchange::outcome::Outcome;
use crate::exchange::step::Step;
use crate::server::Delivery;
use crate::store::Store;
use crate::wire::reply::Reply;

/// Runs an exchange to its end over a [`Store`] and a [`Directory`], as an
/// [`AuthorizationServer`](crate::AuthorizationServer) runs its requests.
///
/// It is for a host that takes some steps itself and leaves the rest to its async ports. A question for the signature of
/// an external key is refused. The key of such a host is one of [`SigningKey::of_signer`](crate::SigningKey::of_signer),
/// whose signer never waits.
pub async fn drive<T: Outcome, F>(
    mut step: Step<T>,
    store: &impl Store,
    directory: &impl Directory,
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
            Step::Sign(ask) => ask.refuse(),
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
