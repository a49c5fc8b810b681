//! The calls of a host: the methods of a server that no client reaches, over the face of this run.

use std::fmt::Debug;
use std::future::Future;

use otp_grant::id::SessionId;
use otp_grant::jwt::{AccessTokenClaims, Audience};
use otp_grant::secret::PresentedSecret;
use otp_grant::server::{
    AccessTokenCheckError, KeyringCheck, KeyringError, VerifiedAddress, VerifyError, VerifyRequest,
};
use otp_grant::wire::{DeliveryFailure, Unavailable};
use otp_grant::*;

use crate::face::{Asked, Faces};
use crate::replies;

/// A server whose methods are called over the face of this run.
pub trait Calls: Faces {
    fn call_verify(
        &self,
        request: VerifyRequest<'_>,
    ) -> impl Future<Output = Result<VerifiedAddress, VerifyError>> + Send {
        async move {
            kept(
                "verify",
                match self.face() {
                    Asked::Server(server) => server.verify(request).await,
                    Asked::Exchange(driven) => {
                        let VerifyRequest { client_id, usage, address, otp_token, otp, code_verifier, .. } = request;
                        let client = client_id.clone();
                        let [otp_token, otp] = [otp_token, otp].map(|secret| secret.expose_secret().to_owned());
                        let verifier = code_verifier.map(|secret| secret.expose_secret().to_owned());
                        let verify = |server: AuthorizationServer<_, _>| async move {
                            let [otp_token, otp] = [otp_token, otp].map(PresentedSecret::new);
                            let request = VerifyRequest::new(&client, usage, address, otp_token, otp);
                            let request = match verifier {
                                Some(verifier) => request.with_code_verifier(PresentedSecret::new(verifier)),
                                None => request,
                            };
                            server.verify(request).await
                        };
                        driven.perform(verify).await
                    }
                },
            )
        }
    }

    fn call_check_access_token(
        &self,
        token: &str,
        audience: Audience<'_>,
    ) -> impl Future<Output = Result<AccessTokenClaims, AccessTokenCheckError>> + Send {
        async move {
            kept(
                "check_access_token",
                match self.face() {
                    Asked::Server(server) => server.check_access_token(token, audience).await,
                    Asked::Exchange(driven) => {
                        let token = token.to_owned();
                        let client = match audience {
                            Audience::Client(client) => Some(client.clone()),
                            _ => None,
                        };
                        let check = |server: AuthorizationServer<_, _>| async move {
                            let audience = client.as_ref().map_or(Audience::EveryClient, Audience::Client);
                            server.check_access_token(&token, audience).await
                        };
                        driven.perform(check).await
                    }
                },
            )
        }
    }

    fn call_revoke_session(&self, session: &SessionId) -> impl Future<Output = Result<(), Unavailable>> + Send {
        async move {
            kept(
                "revoke_session",
                match self.face() {
                    Asked::Server(server) => server.revoke_session(session).await,
                    Asked::Exchange(driven) => {
                        let session = *session;
                        driven.perform(|server| async move { server.revoke_session(&session).await }).await
                    }
                },
            )
        }
    }

    fn call_check_keyring(&self) -> impl Future<Output = Result<KeyringCheck, KeyringError>> + Send {
        async move {
            kept(
                "check_keyring",
                match self.face() {
                    Asked::Server(server) => server.check_keyring().await,
                    Asked::Exchange(driven) => {
                        driven.perform(|server| async move { server.check_keyring().await }).await
                    }
                },
            )
        }
    }

    fn call_announce_new_keyring(&self) -> impl Future<Output = Result<(), Unavailable>> + Send {
        async move {
            kept(
                "announce_new_keyring",
                match self.face() {
                    Asked::Server(server) => server.announce_new_keyring().await,
                    Asked::Exchange(driven) => {
                        driven.perform(|server| async move { server.announce_new_keyring().await }).await
                    }
                },
            )
        }
    }

    fn call_delivery_failed(&self, delivery: Delivery, failure: DeliveryFailure) -> impl Future<Output = Reply> + Send {
        async move {
            let reply = match self.face() {
                Asked::Server(server) => server.delivery_failed(delivery, failure).await,
                Asked::Exchange(driven) => {
                    driven.perform(move |server| async move { server.delivery_failed(delivery, failure).await }).await
                }
            };
            replies::keep_reply("call", "delivery_failed", None, Some(&reply));
            reply
        }
    }
}

impl<T: Faces> Calls for T {}

/// Keeps what a call returned.
fn kept<T: Debug>(name: &str, result: T) -> T {
    replies::keep(|| format!("call {name}: {result:?}"));
    result
}
