//! What a host consists of while it runs: the part that lives as long as the process, and the part that a reload
//! replaces.

use std::sync::Arc;

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
}
