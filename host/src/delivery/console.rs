//! Codes on standard output, for a first try. Only the configuration turns this on, and only this module prints codes.

use std::io::{self, Write as _};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use otp_grant::DeliveryFailure;
use otp_grant::server::OtpMessage;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// Prints codes in a thread of its own: a pipe that is not read must delay neither a request nor a shutdown.
#[derive(Debug)]
pub(super) struct Console(SyncSender<(String, oneshot::Sender<io::Result<()>>)>);

impl Console {
    /// Starts the thread.
    pub(super) fn new() -> io::Result<Self> {
        let (lines, queued) = sync_channel::<(String, oneshot::Sender<io::Result<()>>)>(LONGEST_QUEUE);
        std::thread::Builder::new().name("console".to_owned()).spawn(move || {
            for (line, printed) in queued {
                // The request was answered with an error already, so its code is not printed.
                if !printed.is_closed() {
                    // The reader of the output can be gone. `println!` would panic.
                    let _ = printed.send(writeln!(io::stdout(), "{line}"));
                }
            }
        })?;
        Ok(Self(lines))
    }

    pub(super) async fn print(&self, message: &OtpMessage) -> Result<(), DeliveryFailure> {
        let (to, code) = (message.address().as_str(), message.code().expose_secret());
        let (usage, seconds) = (message.usage(), message.validity().as_millis().div_ceil(1000));
        let (printed, done) = oneshot::channel();
        let line = format!("to {to}: {code} is your code for {usage}, valid for {seconds} seconds");
        let queued = self.0.try_send((line, printed)).is_ok();
        match timeout(PATIENCE, done).await {
            Ok(Ok(Ok(()))) if queued => return Ok(()),
            Ok(Ok(Err(error))) => tracing::error!(%error, "the code can't be printed"),
            _ => tracing::error!("the code can't be printed: the standard output is not read"),
        }
        Err(DeliveryFailure::Undeliverable)
    }
}

const LONGEST_QUEUE: usize = 64;
const PATIENCE: Duration = Duration::from_secs(2);
