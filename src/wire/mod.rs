//! The wire: requests, replies and errors, and their encodings.

mod basic;
pub(crate) mod error;
mod form;
#[cfg(feature = "http")]
mod http;
mod json;
pub(crate) mod members;
pub(crate) mod object;
pub(crate) mod reply;
pub(crate) mod request;
pub(crate) mod strict;

pub use crate::wire::error::{
    DeliveryFailure, InsufficientScope, IntrospectionError, InvalidClient, NoAccessToken, NoBearerToken,
    RevocationError, SendError, TokenError, Unavailable, UserinfoError,
};
pub use crate::wire::members::InvalidRequest;
pub use crate::wire::reply::{
    ActiveToken, Introspection, Reply, TokenKind, TokenResponse, TokenType, UserinfoResponse,
};
pub use crate::wire::request::{
    ClientCredentials, DpopHeader, IntrospectionRequest, OtpGrantRequest, PresentedAccessToken, PresentedProof,
    RefreshGrantRequest, Request, RequestedScope, RevocationRequest, SendRequest, TokenRequest, TokenScheme,
    UserinfoRequest,
};
