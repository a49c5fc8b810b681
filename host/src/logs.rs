//! Logs: what happened, as events of `tracing`, on standard error. They contain no code, token, secret, phone number or
//! e-mail address. An address appears as the hashed key of its record.
//!
//! Requests do not wait for the reader of the log. Lines go through a bounded queue to a thread that writes them. If
//! the queue is full, lines are dropped and counted.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use prometheus_client::metrics::counter::Counter;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::admin::AUDIT;

/// How logs are written.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum LogFormat {
    /// One line of text per event.
    Text,
    /// One JSON object per event.
    Json,
}

/// How much is logged.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum LogLevel {
    /// Failures.
    Error,
    /// Also suspicious events.
    Warn,
    /// Also every request.
    Info,
}

/// The log of the process.
#[derive(Debug)]
pub(crate) struct Log(LogQueue);

impl Log {
    /// Begins to log.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub(crate) fn begin(format: LogFormat, level: LogLevel) -> io::Result<Self> {
        let level = match level {
            LogLevel::Error => LevelFilter::ERROR,
            LogLevel::Warn => LevelFilter::WARN,
            LogLevel::Info => LevelFilter::INFO,
        };
        // Libraries choose what they log below a warning, and it can have addresses in it.
        let filter = Targets::new()
            .with_target("otp_grant", level)
            .with_target("otp_grant_host", level)
            // What support staff did is logged at every level.
            .with_target(AUDIT, LevelFilter::INFO)
            .with_default(level.min(LevelFilter::WARN));
        let queue = LogQueue::begin(io::stderr(), LONGEST_QUEUE)?;
        let lines = tracing_subscriber::fmt::layer().with_writer(queue.clone()).with_ansi(false);
        let registry = tracing_subscriber::registry().with(filter);
        match format {
            LogFormat::Text => registry.with(lines).init(),
            LogFormat::Json => registry.with(lines.json().flatten_event(true).with_span_list(false)).init(),
        }
        Ok(Self(queue))
    }

    /// Counts the lines that were dropped.
    pub(crate) fn dropped(&self) -> Counter {
        self.0.dropped_in_all.clone()
    }

    /// Waits until everything that was logged before is written, for at most a second.
    pub(crate) fn flush(&self) {
        self.0.flush();
    }
}

/// The end of the queue that events go into.
#[derive(Clone, Debug)]
struct LogQueue {
    entries: SyncSender<Entry>,
    /// Those that the log has not told of yet.
    dropped: Arc<AtomicU64>,
    dropped_in_all: Counter,
}

#[derive(Debug)]
enum Entry {
    Line(Vec<u8>),
    /// Dropped when the entries before it are written.
    Flush(SyncSender<()>),
}

impl LogQueue {
    /// Starts the thread that writes.
    fn begin(to: impl Write + Send + 'static, longest: usize) -> io::Result<Self> {
        let (entries, queued) = sync_channel(longest);
        let dropped = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&dropped);
        std::thread::Builder::new().name("log".to_owned()).spawn(move || write_all(to, &queued, &counter))?;
        Ok(Self { entries, dropped, dropped_in_all: Counter::default() })
    }

    fn flush(&self) {
        let until = Instant::now() + FLUSHED_WITHIN;
        let (done, written) = sync_channel(0);
        let mut flush = Entry::Flush(done);
        while let Err(TrySendError::Full(full)) = self.entries.try_send(flush) {
            if Instant::now() > until {
                return;
            }
            flush = full;
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = written.recv_timeout(until.saturating_duration_since(Instant::now()));
    }
}

/// Writes the queued entries, as many at once as there are.
fn write_all(mut to: impl Write, queued: &Receiver<Entry>, dropped: &AtomicU64) {
    let mut bytes = Vec::new();
    while let Ok(first) = queued.recv() {
        bytes.clear();
        let mut flushed = Vec::new();
        for entry in std::iter::once(first).chain(queued.try_iter()) {
            match entry {
                Entry::Line(line) => bytes.extend_from_slice(&line),
                Entry::Flush(done) => flushed.push(done),
            }
            if bytes.len() >= WRITTEN_AT_ONCE {
                break;
            }
        }
        // There is no place to report that the log can't be written.
        let _ = to.write_all(&bytes);
        let lines = dropped.swap(0, Ordering::Relaxed);
        drop(flushed);
        if lines > 0 {
            tracing::warn!(lines, "lines of the log were dropped: its reader is too slow");
        }
    }
}

impl<'a> MakeWriter<'a> for LogQueue {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> &'a Self {
        self
    }
}

/// Each write is one event.
impl Write for &LogQueue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.entries.try_send(Entry::Line(line.to_vec())).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            self.dropped_in_all.inc();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The number of lines: some 2 MB.
const LONGEST_QUEUE: usize = 8 * 1024;
const WRITTEN_AT_ONCE: usize = 64 * 1024;
const FLUSHED_WITHIN: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, mpsc};

    use super::*;

    /// A reader that takes the written bytes when it is told to.
    struct Slow(Mutex<mpsc::Receiver<()>>, mpsc::Sender<Vec<u8>>);

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.lock().unwrap().recv();
            let _ = self.1.send(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_does_not_read_costs_lines_and_no_time() {
        let (go, wait) = mpsc::channel();
        let (wrote, written) = mpsc::channel();
        let queue = LogQueue::begin(Slow(Mutex::new(wait), wrote), 4).unwrap();
        for line in 0..100 {
            (&queue).write_all(format!("{line}\n").as_bytes()).unwrap();
        }
        let dropped = queue.dropped.load(Ordering::Relaxed);
        assert!((94..=98).contains(&dropped), "{dropped}");
        drop(go);
        queue.flush();
        let written: Vec<u8> = written.try_iter().flatten().collect();
        assert!(written.starts_with(b"0\n1\n"), "{written:?}");
        assert_eq!(queue.dropped.load(Ordering::Relaxed), 0, "said, and counted anew");
    }
}
