//! Where metrics are served: the members of `[metrics]`.

use std::net::SocketAddr;

use serde::Deserialize;

/// Where metrics are served.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MetricsEntry {
    pub(crate) listen: Option<SocketAddr>,
}
