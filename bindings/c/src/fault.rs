//! What a call can report, and the text of the last error of a thread.

use std::cell::RefCell;
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What became of a call. `otp_grant_last_error` has the text of anything but `OK`.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// The call did what it says.
    Ok = 0,
    /// A pointer is NULL or misaligned, a length is too large, a text is not UTF-8, or a number is out of range.
    InvalidArgument = 1,
    /// The handle is 0, was freed, or is that of a question that was answered.
    BadHandle = 2,
    /// Another thread is in a call with this exchange, or an observer calls back with the exchange that it observes.
    Busy = 3,
    /// The configuration can't be used. The text names the member.
    Configuration = 4,
    /// The path is not the path of an endpoint. There is no exchange.
    NotAnEndpoint = 5,
    /// It is not an answer to this kind of question, which is still to be answered.
    WrongKind = 6,
    /// The answer can't be read. The question is still to be answered.
    Malformed = 7,
    /// The exchange is over, so there is no question to answer.
    Over = 8,
    /// The question or the end has no such part.
    NoSuchPart = 9,
    /// There are more than 16 million engines or exchanges.
    TooMany = 10,
    /// A fault of the library. The exchange can only be freed.
    Internal = 11,
}

/// Why a call did nothing.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) status: Status,
    text: String,
}

impl Fault {
    pub(crate) fn new(status: Status, text: impl Display) -> Self {
        Self { status, text: text.to_string() }
    }

    pub(crate) fn argument(name: &str, reason: impl Display) -> Self {
        Self::new(Status::InvalidArgument, format_args!("{name}: {reason}"))
    }

    pub(crate) fn bad_handle() -> Self {
        Self::new(Status::BadHandle, "the handle is 0, was freed, or is that of a question that was answered")
    }
}

/// Runs a call. No panic gets out of it.
pub(crate) fn entry(call: impl FnOnce() -> Result<(), Fault>) -> Status {
    let fault = match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(())) => return Status::Ok,
        Ok(Err(fault)) => fault,
        Err(_) => Fault::new(Status::Internal, "a fault of the library"),
    };
    let Fault { status, text } = fault;
    // A thread that is ending has no last error any more.
    let _ = LAST_ERROR.try_with(|last| {
        if let Ok(mut last) = last.try_borrow_mut() {
            *last = text;
        }
    });
    status
}

/// Shows the text of the last call of this thread that was not `OK`.
pub(crate) fn with_last_error<R>(show: impl FnOnce(&str) -> R) -> Option<R> {
    LAST_ERROR.try_with(|last| last.try_borrow().ok().map(|last| show(&last))).ok().flatten()
}

thread_local! {
    static LAST_ERROR: RefCell<String> = const { RefCell::new(String::new()) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_status_and_leaves_a_text() {
        assert_eq!(entry(|| Err(Fault::argument("part", "NULL"))), Status::InvalidArgument);
        assert_eq!(with_last_error(str::to_owned).unwrap(), "part: NULL");
        assert_eq!(entry(|| panic!("a secret")), Status::Internal);
        assert_eq!(with_last_error(str::to_owned).unwrap(), "a fault of the library");
        assert_eq!(entry(|| Ok(())), Status::Ok);
        assert_eq!(with_last_error(str::to_owned).unwrap(), "a fault of the library");
        std::thread::spawn(|| assert_eq!(with_last_error(str::to_owned).unwrap(), "")).join().unwrap();
    }
}
