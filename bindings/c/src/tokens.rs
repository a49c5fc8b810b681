//! The functions that C calls about access tokens and codes that the host checks itself.

#![allow(
    clippy::missing_safety_doc,
    reason = "the header states once, for all functions, what a caller must guarantee"
)]

use otp_grant_bindings::Verification;

use crate::abi::{ENGINES, EXCHANGES};
use crate::exchange::Exchange;
use crate::fault::{Fault, Status, entry};
use crate::pointers::{headers, optional, optional_text, out_pointer, required, text};
use crate::types::{ApiRequest, Bytes, CodeToVerify, EngineHandle, ExchangeHandle};

/// Checks an access token offline. The exchange is over at once, with `DOCUMENT` or `REFUSED`. `client` and
/// `needed_scope` can be `{NULL, 0}`. A token that is bound to a key is refused.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otp_grant_verify_access_token(
    engine: EngineHandle,
    token: Bytes,
    client: Bytes,
    needed_scope: Bytes,
    exchange: *mut ExchangeHandle,
) -> Status {
    entry(|| {
        out_pointer(exchange, "exchange")?;
        let engine = ENGINES.get(engine)?;
        // SAFETY: the caller guarantees that the bytes can be read.
        let token = unsafe { text(token, "token") }?;
        // SAFETY: the caller guarantees that the bytes can be read.
        let client = unsafe { optional_text(client, "client") }?;
        // SAFETY: the caller guarantees that the bytes can be read.
        let needed_scope = unsafe { optional_text(needed_scope, "needed_scope") }?;
        let outcome = engine.0.verify_access_token(token, client, needed_scope);
        let outcome = outcome.map_err(|error| Fault::new(Status::InvalidArgument, error))?;
        let handle = EXCHANGES.insert(Exchange::document(outcome))?;
        // SAFETY: the caller guarantees that the handle can be written, and the pointer was checked.
        unsafe { exchange.write(handle) };
        Ok(())
    })
}

/// Begins to check an access token online. The exchange ends with `DOCUMENT` or `REFUSED`. `client` and `needed_scope`
/// can be `{NULL, 0}`. A token that is bound to a key is refused.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otp_grant_check_access_token(
    engine: EngineHandle,
    token: Bytes,
    client: Bytes,
    needed_scope: Bytes,
    exchange: *mut ExchangeHandle,
) -> Status {
    entry(|| {
        out_pointer(exchange, "exchange")?;
        let engine = ENGINES.get(engine)?;
        // SAFETY: the caller guarantees that the bytes can be read.
        let token = unsafe { text(token, "token") }?;
        // SAFETY: the caller guarantees that the bytes can be read.
        let client = unsafe { optional_text(client, "client") }?;
        // SAFETY: the caller guarantees that the bytes can be read.
        let needed_scope = unsafe { optional_text(needed_scope, "needed_scope") }?;
        let step = engine.0.check_access_token(token, client, needed_scope);
        let step = step.map_err(|error| Fault::new(Status::InvalidArgument, error))?;
        let handle = EXCHANGES.insert(Exchange::new(step))?;
        // SAFETY: the caller guarantees that the handle can be written, and the pointer was checked.
        unsafe { exchange.write(handle) };
        Ok(())
    })
}

/// Checks the access token of a request offline: alone, or with the proof of its key (RFC 9449). The exchange is over
/// at once, as after `otp_grant_verify_access_token`. Whether the proof was used before is not known, and its nonce is
/// not looked at.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otp_grant_verify_access_token_of(
    engine: EngineHandle,
    request: *const ApiRequest,
    client: Bytes,
    needed_scope: Bytes,
    exchange: *mut ExchangeHandle,
) -> Status {
    entry(|| {
        out_pointer(exchange, "exchange")?;
        let engine = ENGINES.get(engine)?;
        // SAFETY: the caller guarantees that the request can be read.
        let request = unsafe { required(request, "request") }?;
        // SAFETY: as above.
        let request = unsafe { read_request(request) }?;
        // SAFETY: the caller guarantees that the bytes can be read.
        let client = unsafe { optional_text(client, "client") }?;
        // SAFETY: the caller guarantees that the bytes can be read.
        let needed_scope = unsafe { optional_text(needed_scope, "needed_scope") }?;
        let outcome = engine.0.verify_access_token(request, client, needed_scope);
        let outcome = outcome.map_err(|error| Fault::new(Status::InvalidArgument, error))?;
        let handle = EXCHANGES.insert(Exchange::document(outcome))?;
        // SAFETY: the caller guarantees that the handle can be written, and the pointer was checked.
        unsafe { exchange.write(handle) };
        Ok(())
    })
}

/// Begins to check the access token of a request online: alone, or with the proof of its key (RFC 9449). The exchange
/// ends as after `otp_grant_check_access_token`. The reply of a refusal has the challenge and, where it is needed, the
/// nonce.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otp_grant_check_access_token_of(
    engine: EngineHandle,
    request: *const ApiRequest,
    client: Bytes,
    needed_scope: Bytes,
    exchange: *mut ExchangeHandle,
) -> Status {
    entry(|| {
        out_pointer(exchange, "exchange")?;
        let engine = ENGINES.get(engine)?;
        // SAFETY: the caller guarantees that the request can be read.
        let request = unsafe { required(request, "request") }?;
        // SAFETY: as above.
        let request = unsafe { read_request(request) }?;
        // SAFETY: the caller guarantees that the bytes can be read.
        let client = unsafe { optional_text(client, "client") }?;
        // SAFETY: the caller guarantees that the bytes can be read.
        let needed_scope = unsafe { optional_text(needed_scope, "needed_scope") }?;
        let step = engine.0.check_access_token(request, client, needed_scope);
        let step = step.map_err(|error| Fault::new(Status::InvalidArgument, error))?;
        let handle = EXCHANGES.insert(Exchange::new(step))?;
        // SAFETY: the caller guarantees that the handle can be written, and the pointer was checked.
        unsafe { exchange.write(handle) };
        Ok(())
    })
}

/// Begins to redeem a code of a usage other than login. The exchange ends with `DOCUMENT` or `REFUSED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otp_grant_verify(
    engine: EngineHandle,
    code: *const CodeToVerify,
    exchange: *mut ExchangeHandle,
) -> Status {
    entry(|| {
        out_pointer(exchange, "exchange")?;
        let engine = ENGINES.get(engine)?;
        // SAFETY: the caller guarantees that the code can be read.
        let code = unsafe { required(code, "code") }?;
        let read = |bytes, name| {
            // SAFETY: the caller guarantees that the bytes can be read.
            unsafe { text(bytes, name) }
        };
        let request = Verification {
            client: read(code.client, "client")?,
            usage: read(code.usage, "usage")?,
            channel: read(code.channel, "channel")?,
            address: read(code.address, "address")?,
            otp_token: read(code.otp_token, "otp_token")?,
            otp: read(code.otp, "otp")?,
            // SAFETY: the caller guarantees that the bytes can be read.
            code_verifier: unsafe { optional_text(code.code_verifier, "code_verifier") }?,
            // SAFETY: the caller guarantees that the request can be read.
            proof: unsafe { optional(code.proof, "proof") }?
                .map(|request| {
                    // SAFETY: as above.
                    unsafe { read_request(request) }
                })
                .transpose()?,
            // SAFETY: the caller guarantees that the bytes can be read.
            device_token: unsafe { optional_text(code.device_token, "device_token") }?,
        };
        let step = engine.0.verify(request).map_err(|error| Fault::new(Status::InvalidArgument, error))?;
        let handle = EXCHANGES.insert(Exchange::new(step))?;
        // SAFETY: the caller guarantees that the handle can be written, and the pointer was checked.
        unsafe { exchange.write(handle) };
        Ok(())
    })
}

/// Copies a request to a route of the host's own.
///
/// # Safety
/// What the request points to must be there, and must not change during the call.
unsafe fn read_request(request: ApiRequest) -> Result<otp_grant_bindings::ApiRequest, Fault> {
    // SAFETY: the same is required of the caller.
    let method = unsafe { text(request.method, "method") }?;
    // SAFETY: as above.
    let external_url = unsafe { text(request.external_url, "external_url") }?;
    // SAFETY: as above.
    let headers = unsafe { headers(request.headers, request.header_count) }?;
    let read = otp_grant_bindings::ApiRequest::new(method, external_url, headers);
    read.map_err(|error| Fault::new(Status::InvalidArgument, error))
}
