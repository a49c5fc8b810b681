//! Replies that a host makes itself, for requests that do not reach the server.

use core::time::Duration;

use super::Reply;
use crate::time::secs_rounded_up;

/// Replies that a host makes itself. No cache keeps them, and their errors have the same form as all other errors.
///
/// ```
/// use core::time::Duration;
/// use otp_grant::Reply;
///
/// let reply = Reply::too_many_requests(Duration::from_secs(30));
/// assert_eq!((reply.status(), reply.header("Retry-After")), (429, Some("30")));
/// ```
impl Reply {
    /// Makes a 404 without a body. The path is not the path of an endpoint.
    pub fn not_found() -> Self {
        Self::empty(404)
    }

    /// Makes a 408 without a body. The request did not arrive in time.
    pub fn request_timeout() -> Self {
        Self::empty(408)
    }

    /// Makes a 413. The body is longer than the host reads.
    pub fn body_too_large(most_bytes: usize) -> Self {
        Self::described(413, "invalid_request", &format!("The body is longer than {most_bytes} bytes"))
    }

    /// Makes a 429. One origin has sent too many requests. `retry_after` is rounded up to seconds. With zero, the reply
    /// has no `Retry-After` header.
    pub fn too_many_requests(retry_after: Duration) -> Self {
        Self::described(429, "temporarily_unavailable", "There are too many requests. Please try again later.")
            .retry_after(secs_rounded_up(retry_after))
    }

    /// Makes a 503. A part of the host failed or took too long. The request is safe to repeat.
    pub fn unavailable() -> Self {
        Self::error(503, "temporarily_unavailable")
    }
}
