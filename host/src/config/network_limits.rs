//! The limits per network address: the members of `[network_limits]`.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use governor::Quota;
use ipnet::IpNet;
use serde::Deserialize;

use super::proxy::networks;
use super::{Config, ConfigError, Span, Window};

/// The limits per network address. Each has a default.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NetworkLimitsEntry {
    /// Defaults to whether `proxy.client_address` is set.
    enabled: Option<bool>,
    sends: Option<Window>,
    failed_authentications: Option<Window>,
    wrong_codes: Option<Window>,
    #[serde(default)]
    exempt: Vec<String>,
    addresses: Option<NonZeroUsize>,
}

/// The limits that hold.
#[derive(Clone, Debug)]
pub(crate) struct NetworkQuotas {
    pub(crate) sends: Quota,
    pub(crate) failed_authentications: Quota,
    pub(crate) wrong_codes: Quota,
    pub(crate) exempt: Vec<IpNet>,
    /// How many addresses each limit remembers at most.
    pub(crate) addresses: usize,
}

impl NetworkQuotas {
    /// The limits that the file gives, unless they are off.
    pub(crate) fn of(config: &Config) -> Result<Option<Self>, ConfigError> {
        let entry = &config.network_limits;
        let read = Self {
            sends: quota(entry.sends, "network_limits.sends")?,
            failed_authentications: quota(entry.failed_authentications, "network_limits.failed_authentications")?,
            wrong_codes: quota(entry.wrong_codes, "network_limits.wrong_codes")?,
            exempt: networks(&entry.exempt, "network_limits.exempt")?,
            addresses: entry.addresses.map_or(ADDRESSES, NonZeroUsize::get),
        };
        Ok(is_enabled(config).then_some(read))
    }
}

fn is_enabled(config: &Config) -> bool {
    config.network_limits.enabled.unwrap_or(config.proxy.client_address.is_some())
}

/// An allowance that is whole at first, and grows back evenly.
fn quota(window: Option<Window>, place: &str) -> Result<Quota, ConfigError> {
    let Window { count, per } = window.unwrap_or(Window { count: TWO_HUNDRED, per: Span::of_secs::<600>() });
    if !(SHORTEST..=LONGEST).contains(&per.0) {
        return Err(ConfigError::new(place, "it is per 1 s to 24 h"));
    }
    let quota = Quota::with_period(per.0 / count.get()).map(|quota| quota.allow_burst(count));
    quota.filter(|_| count <= MOST).ok_or_else(|| ConfigError::new(place, "it counts 1 to 1000000"))
}

/// Adds the warnings about the limits.
pub(super) fn add_warnings(config: &Config) {
    let NetworkLimitsEntry { sends, failed_authentications, wrong_codes, exempt, addresses, .. } =
        &config.network_limits;
    let is_set = [sends, failed_authentications, wrong_codes].into_iter().any(Option::is_some);
    if !is_enabled(config) {
        if is_set || !exempt.is_empty() || addresses.is_some() {
            let what = "the limits are off, and so the other settings of [network_limits] change nothing";
            config.warnings.add("network_limits.enabled", what);
        }
        return;
    }
    if config.proxy.client_address.is_none() {
        let what =
            "proxy.client_address is not set: behind a proxy all clients have its address, and share one allowance";
        config.warnings.add("network_limits.enabled", what);
    }
}

const TWO_HUNDRED: NonZeroU32 = NonZeroU32::MIN.saturating_add(199);
const MOST: NonZeroU32 = NonZeroU32::MIN.saturating_add(999_999);
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
const ADDRESSES: usize = 100_000;
