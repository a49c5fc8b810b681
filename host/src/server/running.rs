//! What a host consists of while it runs: the part that lives as long as the process, and the part that a reload
//! replaces.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use arc_swap::ArcSwap;

use super::App;
use crate::delivery::Queues;
use crate::directory::UserBase;
use crate::metrics::Metrics;
use crate::store::AnyStore;

/// What lives as long as the process, with every configuration that it has.
pub(crate) struct Process {
    pub(crate) store: Arc<AnyStore>,
    pub(crate) users: UserBase,
    pub(crate) queues: Queues,
    pub(crate) metrics: Arc<Metrics>,
    is_draining: AtomicBool,
    late: AtomicUsize,
}

impl Process {
    pub(crate) fn new(store: Arc<AnyStore>, users: UserBase, queues: Queues, metrics: Arc<Metrics>) -> Self {
        Self { store, users, queues, metrics, is_draining: AtomicBool::new(false), late: AtomicUsize::new(0) }
    }

    /// Tells whether the host stops.
    pub(super) fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Relaxed)
    }

    pub(super) fn begin_drain(&self) {
        self.is_draining.store(true, Ordering::Relaxed);
    }

    /// Tells whether requests go on whose clients have got 503.
    pub(super) fn has_late_requests(&self) -> bool {
        self.late.load(Ordering::Relaxed) > 0
    }
}

/// A request that goes on after its client has got 503. A stop waits for it.
pub(super) struct LateRequest(Arc<Process>);

impl LateRequest {
    pub(super) fn new(process: &Arc<Process>) -> Self {
        process.late.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(process))
    }
}

impl Drop for LateRequest {
    fn drop(&mut self) {
        self.0.late.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The application of the present configuration. A request takes it once, and so sees one configuration as a whole.
pub(crate) struct Running(ArcSwap<App>);

impl Running {
    pub(crate) fn new(app: App) -> Self {
        Self(ArcSwap::from_pointee(app))
    }

    pub(crate) fn app(&self) -> Arc<App> {
        self.0.load_full()
    }

    /// Answers later requests with another application. Requests in flight end with the one that they began with.
    pub(crate) fn replace(&self, app: App) {
        self.0.store(Arc::new(app));
    }
}
