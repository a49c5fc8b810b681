//! Bodies as they come in: read to a limit, and not taken for whole when they were cut short.

use std::io::{self, Read};
#[cfg(feature = "async")]
use std::{pin::pin, time::Duration};

#[cfg(feature = "async")]
use futures_util::{Stream, StreamExt as _};

/// Reads a body, but not on beyond [`MOST_READ`]: the crate refuses what is longer than its own limit.
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

/// The same for a body that blocks. It cannot be given up when the client falls silent.
///
/// # Errors
/// When the client went away.
pub fn read_blocking_body(body: impl Read) -> io::Result<Vec<u8>> {
    let mut read = Vec::new();
    body.take(MOST_READ.into()).read_to_end(&mut read)?;
    Ok(read)
}

/// Tells whether a body is as long as its `Content-Length` said, for frameworks that do not say when a client goes away.
pub fn is_whole(body: &[u8], announced: Option<usize>) -> bool {
    body.len() >= announced.unwrap_or_default().min(MOST_READ.into())
}

/// More than the 16 KiB that the crate accepts, so that it is the crate that says so.
const MOST_READ: u16 = u16::MAX;

/// How long a client may take to send a body.
#[cfg(feature = "async")]
const PATIENCE: Duration = Duration::from_secs(10);
