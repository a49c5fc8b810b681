//! The life of the process: the signals that it gets, and what it tells the service manager.

use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::config::{At as _, ConfigError};
use crate::reload::Reload;

/// The signals that the process handles.
#[derive(Debug)]
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    /// Handles the signals from now on. Those that arrive before [`obey`](Self::obey) are not lost.
    pub(crate) fn handle() -> Result<Self, ConfigError> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).at("SIGTERM")?,
            interrupt: signal(SignalKind::interrupt()).at("SIGINT")?,
            hang_up: signal(SignalKind::hangup()).at("SIGHUP")?,
        })
    }

    /// Reloads at each SIGHUP, and counts the others.
    pub(crate) fn obey(self, reload: Reload) -> Stop {
        let Self { mut terminate, mut interrupt, mut hang_up } = self;
        let (count, counted) = watch::channel(0_u32);
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                count.send_modify(|count| *count += 1);
            }
        });
        let stop = Stop(counted);
        let stopping = stop.clone();
        tokio::spawn(async move {
            // One after the other. Of several signals during one reload, the last causes another.
            while hang_up.recv().await.is_some() {
                match stopping.is_requested() {
                    true => tracing::warn!("SIGHUP is ignored: the host stops"),
                    false => reload.run().await,
                }
            }
        });
        stop
    }
}

/// How often SIGTERM and SIGINT have asked the process to stop.
#[derive(Clone, Debug)]
pub(crate) struct Stop(watch::Receiver<u32>);

impl Stop {
    /// Waits for the first signal.
    pub(crate) async fn requested(&mut self) {
        self.signals(1).await;
    }

    /// Waits for the second signal. Its sender does not want to wait.
    pub(crate) async fn requested_again(&mut self) {
        self.signals(2).await;
    }

    fn is_requested(&self) -> bool {
        *self.0.borrow() > 0
    }

    async fn signals(&mut self, number: u32) {
        if self.0.wait_for(|count| *count >= number).await.is_err() {
            // The task that counts ends with the process.
            std::future::pending::<()>().await;
        }
    }
}

/// Tells the service manager that the host serves, also after a reload.
pub(crate) fn tell_ready() {
    tell(&[NotifyState::Ready]);
}

/// Tells the service manager that a reload begins.
pub(crate) fn tell_reloading() {
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        tell(&[NotifyState::Reloading, now]);
    }
}

/// Tells the service manager that the host stops.
pub(crate) fn tell_stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Does nothing without a service manager, which is known by `NOTIFY_SOCKET` in the environment.
fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager can't be told what the host does");
    }
}
