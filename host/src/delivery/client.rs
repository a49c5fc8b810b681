//! What the HTTP requests of the delivery have in common: the client, and how answers are read.

use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Response};
use tokio::time::timeout;

/// A client that keeps so many connections for the next messages.
pub(super) fn client(is_encrypted: bool, connections: usize) -> ClientBuilder {
    let client = Client::builder()
        // A redirect could carry codes to another server.
        .redirect(Policy::none())
        .pool_max_idle_per_host(connections)
        .pool_idle_timeout(KEPT_IDLE);
    // A proxy of the environment would carry the codes off the machine without TLS.
    if is_encrypted { client } else { client.no_proxy() }
}

/// Reads the body of an answer, and drops it. Its connection can then be used again. A connection whose answer is slow
/// to end is given up.
pub(super) async fn drop_body(response: &mut Response) {
    let _ = timeout(READ_WITHIN, body(response)).await;
}

/// Reads the body of an answer, or its beginning.
pub(super) async fn body(response: &mut Response) -> Vec<u8> {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        if body.len().saturating_add(chunk.len()) > MOST_READ {
            break;
        }
        body.extend_from_slice(&chunk);
    }
    body
}

/// Reads Retry-After in seconds. Its other form, a date, is not read: the usual pause is made then.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let digits = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    // A number that is too large for its type is a long time all the same.
    is_number.then(|| Duration::from_secs(digits.parse().unwrap_or(u64::MAX)))
}

/// Shorter than common servers keep an idle connection (5 seconds): they do not close it while a code goes over it.
const KEPT_IDLE: Duration = Duration::from_secs(4);
const MOST_READ: usize = 64 * 1024;
const READ_WITHIN: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    #[test]
    fn a_time_to_wait_is_a_number_of_seconds() {
        for (text, expected) in [
            ("7", Some(7)),
            (" 7 ", Some(7)),
            ("99999999999999999999", Some(u64::MAX)),
            ("+7", None),
            ("", None),
            ("Sun, 29 Nov 2026 10:00:00 GMT", None),
        ] {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_str(text).unwrap())]);
            assert_eq!(retry_after(&headers), expected.map(Duration::from_secs), "{text}");
        }
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }
}
