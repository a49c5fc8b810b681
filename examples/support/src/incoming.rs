//! Reads bodies up to a limit. A body that was cut short is not taken for a whole one.

use std::io::{self, Read};
#[cfg(feature = "async")]
use std::{pin::pin, time::Duration};

#[cfg(feature = "async")]
use futures_util::{Stream, StreamExt as _};

/// Reads a body, at most up to `MOST_READ` or a little more. The crate refuses bodies beyond its own limit.
///
/// `None` when the client fell silent or went away. A body that was cut short must not be taken for a whole one.
#[cfg(feature = "async")]
pub async fn read_body<B: AsRef<[u8]>, E>(chunks: impl Stream<Item = Result<B, E>>) -> Option<Vec<u8>> {
    let reading = async {
        let (mut chunks, mut body) = (pin!(chunks), Vec::new());
        while body.len() < usize::from(MOST_READ) {
            let Some(chunk) = chunks.next().await else { break };
            body.extend_from_slice(chunk.ok()?.as_ref());
        }
        Some(body)
    };
    tokio::time::timeout(PATIENCE, reading).await.ok()?
}

/// Reads a blocking body. The caller can't give up when the client falls silent.
///
/// # Errors
/// When the client went away.
pub fn read_blocking_body(body: impl Read) -> io::Result<Vec<u8>> {
    let mut read = Vec::new();
    body.take(MOST_READ.into()).read_to_end(&mut read)?;
    Ok(read)
}

/// Tells whether a body is as long as its `Content-Length`, for frameworks that do not report that a client went away.
pub fn is_whole(body: &[u8], announced: Option<usize>) -> bool {
    body.len() >= announced.unwrap_or_default().min(MOST_READ.into())
}

/// More than the 16 KiB that the crate accepts. The crate can then report that a body is too long.
const MOST_READ: u16 = u16::MAX;

/// How long a client can take to send a body.
#[cfg(feature = "async")]
const PATIENCE: Duration = Duration::from_secs(10);
