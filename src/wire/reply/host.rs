//! Replies that a host gives itself, at an endpoint whose request does not get as far as the server.

use core::time::Duration;

use super::Reply;
use crate::time::secs_rounded_up;

/// What a host answers itself. No cache keeps it, and its errors have the form of all others.
///
/// ```
/// use core::time::Duration;
/// use otp_grant::Reply;
///
/// let reply = Reply::too_many_requests(Duration::from_secs(30));
/// assert_eq!((reply.status(), reply.header("Retry-After")), (429, Some("30")));
/// ```
impl Reply {
    /// 404 without a body: the path is not that of an endpoint.
    pub fn not_found() -> Self {
        Self::empty(404)
    }

    /// 408 without a body: the request did not arrive in time.
    pub fn request_timeout() -> Self {
        Self::empty(408)
    }

    /// 413: the body is longer than the host reads.
    pub fn body_too_large(most_bytes: usize) -> Self {
        Self::described(413, "invalid_request", &format!("The body is longer than {most_bytes} bytes"))
    }

    /// 429: there are too many requests of one origin. `retry_after` is rounded up to seconds; zero says nothing.
    pub fn too_many_requests(retry_after: Duration) -> Self {
        Self::described(429, "temporarily_unavailable", "There are too many requests. Please try again later.")
            .retry_after(secs_rounded_up(retry_after))
    }

    /// 503: a part of the host failed or took too long. It is safe to send the request again.
    pub fn unavailable() -> Self {
        Self::error(503, "temporarily_unavailable")
    }
}
