//! The functions that C calls for the host's support staff.

#![allow(
    clippy::missing_safety_doc,
    reason = "the header states once, for all functions, what a caller must guarantee"
)]

use otp_grant_bindings::{ArgumentError, Engine, Step};

use crate::abi::{ENGINES, EXCHANGES};
use crate::exchange::Exchange;
use crate::fault::{Fault, Status, entry};
use crate::pointers::{out_pointer, text};
use crate::types::{Bytes, EngineHandle, ExchangeHandle};

/// Begins to tell what an address has left: guesses and sends, live challenges and devices. `channel` is `sms` or
/// `email`, and the address has any spelling. The exchange ends with `DOCUMENT` or `REFUSED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otp_grant_explain(
    engine: EngineHandle,
    channel: Bytes,
    address: Bytes,
    exchange: *mut ExchangeHandle,
) -> Status {
    // SAFETY: the caller guarantees that the bytes can be read, and that the handle can be written.
    entry(|| unsafe { begin(engine, channel, address, exchange, Engine::explain) })
}

/// Begins to clear the counted guesses and sends of an address and of its devices. The guesses of each code still
/// count. The exchange ends with `DOCUMENT` or `REFUSED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otp_grant_unlock(
    engine: EngineHandle,
    channel: Bytes,
    address: Bytes,
    exchange: *mut ExchangeHandle,
) -> Status {
    // SAFETY: the caller guarantees that the bytes can be read, and that the handle can be written.
    entry(|| unsafe { begin(engine, channel, address, exchange, Engine::unlock) })
}

/// Begins to make an address forget its devices, after one was lost or stolen. The exchange ends with `DOCUMENT` or
/// `REFUSED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otp_grant_forget_devices(
    engine: EngineHandle,
    channel: Bytes,
    address: Bytes,
    exchange: *mut ExchangeHandle,
) -> Status {
    // SAFETY: the caller guarantees that the bytes can be read, and that the handle can be written.
    entry(|| unsafe { begin(engine, channel, address, exchange, Engine::forget_devices) })
}

/// Begins a verb that is about an address.
///
/// # Safety
/// What the bytes point to must be there, and must not change during the call. `exchange` must be NULL, or point to a
/// handle that can be written.
unsafe fn begin(
    engine: EngineHandle,
    channel: Bytes,
    address: Bytes,
    exchange: *mut ExchangeHandle,
    verb: impl FnOnce(&Engine, &str, &str) -> Result<Step, ArgumentError>,
) -> Result<(), Fault> {
    out_pointer(exchange, "exchange")?;
    let engine = ENGINES.get(engine)?;
    // SAFETY: the same is required of the caller.
    let channel = unsafe { text(channel, "channel") }?;
    // SAFETY: as above.
    let address = unsafe { text(address, "address") }?;
    let step = verb(&engine.0, channel, address).map_err(|error| Fault::new(Status::InvalidArgument, error))?;
    let handle = EXCHANGES.insert(Exchange::new(step))?;
    // SAFETY: the same is required of the caller, and the pointer was checked.
    unsafe { exchange.write(handle) };
    Ok(())
}
