//! Reads what C points to. What can be found out about a pointer is checked before it is used.

use crate::fault::Fault;
use crate::types::{Bytes, Header};

/// Refuses a pointer to which nothing can be written.
pub(crate) fn out_pointer<T>(pointer: *mut T, name: &str) -> Result<(), Fault> {
    if pointer.is_null() {
        return Err(Fault::argument(name, "NULL"));
    }
    if !pointer.is_aligned() {
        return Err(Fault::argument(name, "misaligned"));
    }
    Ok(())
}

/// Reads a structure.
///
/// # Safety
/// The pointer must be NULL, or point to a structure that can be read.
pub(crate) unsafe fn required<T: Copy>(pointer: *const T, name: &str) -> Result<T, Fault> {
    // SAFETY: the same is required of the caller.
    unsafe { optional(pointer, name) }?.ok_or_else(|| Fault::argument(name, "NULL"))
}

/// Reads a structure that can be missing.
///
/// # Safety
/// As for [`required`].
pub(crate) unsafe fn optional<T: Copy>(pointer: *const T, name: &str) -> Result<Option<T>, Fault> {
    if pointer.is_null() {
        return Ok(None);
    }
    if !pointer.is_aligned() {
        return Err(Fault::argument(name, "misaligned"));
    }
    // SAFETY: the caller guarantees that the structure can be read, and the pointer was checked.
    Ok(Some(unsafe { pointer.read() }))
}

/// Reads elements.
///
/// # Safety
/// The pointer must be NULL, or point to so many elements that can be read and do not change during the call.
pub(crate) unsafe fn slice<'a, T>(pointer: *const T, length: usize, name: &str) -> Result<&'a [T], Fault> {
    if length == 0 {
        return Ok(&[]);
    }
    if pointer.is_null() {
        return Err(Fault::argument(name, "NULL"));
    }
    if !pointer.is_aligned() {
        return Err(Fault::argument(name, "misaligned"));
    }
    let most = usize::try_from(isize::MAX).unwrap_or(0) / size_of::<T>().max(1);
    if length > most || pointer.addr().checked_add(length.saturating_mul(size_of::<T>())).is_none() {
        return Err(Fault::argument(name, "the length is that of no memory"));
    }
    // SAFETY: the caller guarantees that the elements can be read and do not change. The pointer and the length were
    // checked.
    Ok(unsafe { std::slice::from_raw_parts(pointer, length) })
}

/// Reads headers.
///
/// # Safety
/// As for [`slice`], also for what the headers point to.
pub(crate) unsafe fn headers<'a>(pointer: *const Header, count: usize) -> Result<Vec<(&'a str, &'a [u8])>, Fault> {
    // SAFETY: the same is required of the caller.
    let given: &[Header] = unsafe { slice(pointer, count, "headers") }?;
    let mut headers = Vec::with_capacity(given.len());
    for Header { name, value } in given {
        // SAFETY: the same is required of the caller.
        let name = unsafe { text(*name, "the name of a header") }?;
        // SAFETY: the same is required of the caller.
        let value = unsafe { slice(value.data, value.length, "the value of a header") }?;
        headers.push((name, value));
    }
    Ok(headers)
}

/// Reads a text.
///
/// # Safety
/// As for [`slice`].
pub(crate) unsafe fn text<'a>(bytes: Bytes, name: &str) -> Result<&'a str, Fault> {
    // SAFETY: the same is required of the caller.
    let bytes = unsafe { slice(bytes.data, bytes.length, name) }?;
    std::str::from_utf8(bytes).map_err(|_| Fault::argument(name, "not UTF-8"))
}

/// Reads a text that can be missing.
///
/// # Safety
/// As for [`slice`].
pub(crate) unsafe fn optional_text<'a>(bytes: Bytes, name: &str) -> Result<Option<&'a str>, Fault> {
    if bytes.data.is_null() && bytes.length == 0 {
        return Ok(None);
    }
    // SAFETY: the same is required of the caller.
    unsafe { text(bytes, name) }.map(Some)
}
