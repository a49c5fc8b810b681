//! The calls of a host: the methods of a server that no client reaches, over the face of this run.

use std::fmt::Debug;
use std::future::Future;

use otp_grant::id::SessionId;
use otp_grant::jwt::{AccessTokenClaims, Audience};
use otp_grant::otp::AddressState;
use otp_grant::secret::PresentedSecret;
use otp_grant::server::{
    AccessTokenCheckError, KeyringCheck, KeyringError, VerifiedAddress, VerifyError, VerifyRequest,
};
use otp_grant::wire::{DeliveryFailure, DpopHeader, PresentedAccessToken, PresentedProof, Unavailable};
use otp_grant::*;

use crate::face::{Asked, Faces};
use crate::replies;

/// What a request to a route of the host's own proves of a key.
#[derive(Clone, Debug)]
pub struct RouteProof {
    /// The header `DPoP`.
    pub header: String,
    pub method: &'static str,
    /// The URL of the route.
    pub url: &'static str,
}

impl RouteProof {
    fn presented(&self) -> PresentedProof<'_> {
        PresentedProof::new(Some(DpopHeader::new(&self.header)), self.method, self.url)
    }
}

fn proven<'a>(request: VerifyRequest<'a>, proof: Option<&'a RouteProof>) -> VerifyRequest<'a> {
    match proof {
        Some(proof) => request.with_proof(proof.presented()),
        None => request,
    }
}

fn presented<'a>(token: &'a str, proof: Option<&'a RouteProof>) -> PresentedAccessToken<'a> {
    match proof {
        Some(proof) => PresentedAccessToken::Dpop(token, proof.presented()),
        None => PresentedAccessToken::Bearer(token),
    }
}

/// A server whose methods are called over the face of this run.
pub trait Calls: Faces {
    fn call_verify(
        &self,
        request: VerifyRequest<'_>,
    ) -> impl Future<Output = Result<VerifiedAddress, VerifyError>> + Send {
        self.call_verify_with(request, None)
    }

    /// The same, with a proof that the request does not have yet.
    fn call_verify_with(
        &self,
        request: VerifyRequest<'_>,
        proof: Option<RouteProof>,
    ) -> impl Future<Output = Result<VerifiedAddress, VerifyError>> + Send {
        async move {
            kept(
                "verify",
                match self.face() {
                    Asked::Server(server) => server.verify(proven(request, proof.as_ref())).await,
                    Asked::Exchange(driven) => {
                        let VerifyRequest {
                            client_id,
                            usage,
                            address,
                            otp_token,
                            otp,
                            code_verifier,
                            device_token,
                            ..
                        } = request;
                        let client = client_id.clone();
                        let [otp_token, otp] = [otp_token, otp].map(|secret| secret.expose_secret().to_owned());
                        let [verifier, device_token] = [code_verifier, device_token]
                            .map(|secret| secret.map(|secret| secret.expose_secret().to_owned()));
                        let verify = |server: AuthorizationServer<_, _>| async move {
                            let [otp_token, otp] = [otp_token, otp].map(PresentedSecret::new);
                            let request = VerifyRequest::new(&client, usage, address, otp_token, otp);
                            let request = match verifier {
                                Some(verifier) => request.with_code_verifier(PresentedSecret::new(verifier)),
                                None => request,
                            };
                            let request = match device_token {
                                Some(token) => request.with_device_token(PresentedSecret::new(token)),
                                None => request,
                            };
                            server.verify(proven(request, proof.as_ref())).await
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
        self.call_check_with(token, None, audience)
    }

    /// Checks an access token together with the proof of its key, or alone.
    fn call_check_with(
        &self,
        token: &str,
        proof: Option<RouteProof>,
        audience: Audience<'_>,
    ) -> impl Future<Output = Result<AccessTokenClaims, AccessTokenCheckError>> + Send {
        async move {
            kept(
                "check_access_token",
                match self.face() {
                    Asked::Server(server) => {
                        server.check_access_token(presented(token, proof.as_ref()), audience).await
                    }
                    Asked::Exchange(driven) => {
                        let token = token.to_owned();
                        let client = match audience {
                            Audience::Client(client) => Some(client.clone()),
                            _ => None,
                        };
                        let check = |server: AuthorizationServer<_, _>| async move {
                            let audience = client.as_ref().map_or(Audience::EveryClient, Audience::Client);
                            server.check_access_token(presented(&token, proof.as_ref()), audience).await
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

    fn call_explain(&self, address: &Address) -> impl Future<Output = Result<AddressState, Unavailable>> + Send {
        async move {
            kept(
                "explain",
                match self.face() {
                    Asked::Server(server) => server.explain(address).await,
                    Asked::Exchange(driven) => {
                        let address = address.clone();
                        driven.perform(|server| async move { server.explain(&address).await }).await
                    }
                },
            )
        }
    }

    fn call_unlock(&self, address: &Address) -> impl Future<Output = Result<(), Unavailable>> + Send {
        async move {
            kept(
                "unlock",
                match self.face() {
                    Asked::Server(server) => server.unlock(address).await,
                    Asked::Exchange(driven) => {
                        let address = address.clone();
                        driven.perform(|server| async move { server.unlock(&address).await }).await
                    }
                },
            )
        }
    }

    fn call_forget_devices(&self, address: &Address) -> impl Future<Output = Result<(), Unavailable>> + Send {
        async move {
            kept(
                "forget_devices",
                match self.face() {
                    Asked::Server(server) => server.forget_devices(address).await,
                    Asked::Exchange(driven) => {
                        let address = address.clone();
                        driven.perform(|server| async move { server.forget_devices(&address).await }).await
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
