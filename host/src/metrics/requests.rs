//! Requests, by endpoint and status, and how long they took.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::{Label, Labels};

/// The requests of all endpoints.
#[derive(Debug)]
pub(crate) struct Requests {
    counts: Family<Labels, Counter>,
    durations: Family<Label, Histogram, fn() -> Histogram>,
}

/// The requests of one endpoint.
#[derive(Debug)]
pub(crate) struct EndpointRequests {
    by_status: [(u16, Counter); STATUSES.len()],
    other_status: Counter,
    duration: Histogram,
}

impl Requests {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let counts = Family::default();
        let durations: Family<_, _, fn() -> Histogram> = Family::new_with_constructor(histogram);
        let help = "Requests that were answered";
        registry.register("http_requests", help, Family::clone(&counts));
        let help = "How long answers took, from the head of the request on, and with the time in which its body came";
        registry.register("http_request_duration_seconds", help, Family::clone(&durations));
        Self { counts, durations }
    }

    /// The requests of the endpoint with a name. The name is of the host's own table of routes.
    pub(crate) fn of(&self, endpoint: &'static str) -> Arc<EndpointRequests> {
        let count = |status| self.counts.get_or_create_owned(&[("endpoint", endpoint), ("status", status)]);
        Arc::new(EndpointRequests {
            by_status: STATUSES.map(|(status, name)| (status, count(name))),
            other_status: count("other"),
            duration: self.durations.get_or_create_owned(&[("endpoint", endpoint)]),
        })
    }
}

impl EndpointRequests {
    /// Counts an answer.
    pub(crate) fn answered(&self, status: u16, took: Duration) {
        let found = self.by_status.iter().find(|(known, _)| *known == status);
        found.map_or(&self.other_status, |(_, counter)| counter).inc();
        self.duration.observe(took.as_secs_f64());
    }
}

fn histogram() -> Histogram {
    Histogram::new(BUCKETS)
}

/// From a refused otp_token (some 50 µs) to `limits.request_time`.
const BUCKETS: [f64; 12] = [0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 5.0, 20.0];

/// The statuses that the host answers with.
const STATUSES: [(u16, &str); 12] = [
    (200, "200"),
    (204, "204"),
    (400, "400"),
    (401, "401"),
    (403, "403"),
    (404, "404"),
    (405, "405"),
    (408, "408"),
    (413, "413"),
    (429, "429"),
    (500, "500"),
    (503, "503"),
];
