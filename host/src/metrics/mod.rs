//! Metrics: what the host counts, for Prometheus.
//!
//! Each counter and histogram is a handle that is made at the start. To count is to add to an atomic number, or to take
//! a lock that nothing else holds for long. No text is looked up and nothing is allocated. Labels have values of fixed
//! lists alone, so a caller can't add a series.

mod events;
mod listener;
mod requests;
mod resources;
mod store;

use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::encoding::prometheus_text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

pub(crate) use events::{Events, HostObserver};
pub(crate) use listener::serve;
pub(crate) use requests::{EndpointRequests, Requests};
use resources::Resources;
pub(crate) use resources::{ConnectionCounts, Counted, Deliveries, DeliveryOutcome};
pub(crate) use store::{Measured, StoreOperations};

use crate::server::Process;

/// Everything that is counted.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    pub(crate) requests: Requests,
    pub(crate) events: Events,
    pub(crate) store: StoreOperations,
    pub(crate) deliveries: Deliveries,
    pub(crate) connections: ConnectionCounts,
    pub(crate) limits: LimitCounts,
    /// 1, or 0 after a reload that was refused.
    pub(crate) last_reload_successful: Gauge,
    resources: Resources,
}

/// What the limits per network address did.
#[derive(Clone, Debug)]
pub(crate) struct LimitCounts {
    pub(crate) sends: Counter,
    pub(crate) failed_authentications: Counter,
    pub(crate) wrong_codes: Counter,
    pub(crate) untracked: Counter,
}

impl Metrics {
    /// Begins to count. `dropped_lines` counts the lines of the log that were dropped.
    pub(crate) fn new(dropped_lines: Counter) -> Self {
        let mut registry = Registry::default();
        let started = Gauge::<i64>::default();
        started.set(unix_seconds());
        registry.register("process_start_time_seconds", "When the process started, in seconds since 1970", started);
        let own = registry.sub_registry_with_prefix("otp_grant");
        // A gauge that is always 1, as the text format has no other way to say it.
        let build = Family::<Label, Gauge>::default();
        build.get_or_create(&[("version", env!("CARGO_PKG_VERSION"))]).set(1);
        own.register("build_info", "The version of the host", build);
        own.register("log_lines_dropped", "Lines of the log that were dropped: its reader is too slow", dropped_lines);
        let (requests, events) = (Requests::new(own), Events::new(own));
        let (store, deliveries) = (StoreOperations::new(own), Deliveries::new(own));
        let (connections, limits) = (ConnectionCounts::new(own), LimitCounts::new(own));
        let resources = Resources::new(own);
        let last_reload_successful = Gauge::default();
        last_reload_successful.set(1);
        let help = "Whether the last reload was done. After one that was refused, the old configuration stays";
        own.register("config_last_reload_successful", help, last_reload_successful.clone());
        Self { registry, requests, events, store, deliveries, connections, limits, last_reload_successful, resources }
    }

    /// Writes the metrics in the text format of Prometheus. What is no count is read now.
    fn text(&self, process: &Process) -> String {
        self.resources.read(process);
        let mut text = String::new();
        // A String takes every text.
        let _ = prometheus_text::encode(&mut text, &self.registry);
        text
    }
}

impl LimitCounts {
    fn new(registry: &mut Registry) -> Self {
        let help = "Requests that were refused because the allowance of their network address was used up";
        let values = ["sends", "failed_authentications", "wrong_codes"];
        let [sends, failed_authentications, wrong_codes] =
            counters(registry, "network_limit_refusals", help, "limit", values);
        let help = "Events that no network address was charged for, because too many addresses are remembered";
        Self {
            sends,
            failed_authentications,
            wrong_codes,
            untracked: counter(registry, "network_limit_untracked", help),
        }
    }
}

/// One label.
type Label = [(&'static str, &'static str); 1];
/// Two labels.
type Labels = [(&'static str, &'static str); 2];

/// A counter. `_total` is added to its name.
fn counter(registry: &mut Registry, name: &str, help: &str) -> Counter {
    let counter = Counter::default();
    registry.register(name, help, counter.clone());
    counter
}

/// A counter for each value of a label.
fn counters<const N: usize>(
    registry: &mut Registry,
    name: &str,
    help: &str,
    label: &'static str,
    values: [&'static str; N],
) -> [Counter; N] {
    let family = Family::<Label, Counter>::default();
    registry.register(name, help, family.clone());
    values.map(|value| family.get_or_create_owned(&[(label, value)]))
}

fn unix_seconds() -> i64 {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    i64::try_from(seconds).unwrap_or(i64::MAX)
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
