//! File descriptors: how many connections the operating system allows beside the descriptors that the host itself
//! needs.

use std::num::NonZeroUsize;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Config;

/// Raises the limit of descriptors as far as possible, and fits the number of connections to it.
///
/// A client's connection takes one descriptor. The descriptors that the store, the users' table, the delivery of
/// messages, logs and health checks need stay free.
pub(crate) fn provide(config: &mut Config) {
    let own = own(config);
    let wanted = config.limits.connections;
    let allowed = raise(wanted.get().saturating_add(own));
    let fitting = fitting(wanted, own, allowed);
    if fitting < wanted {
        let what = format!(
            "{fitting} instead of {wanted}, since {allowed} file descriptors are allowed (ulimit -n, LimitNOFILE)"
        );
        config.warnings.add("limits.connections", what);
        config.limits.connections = fitting;
    }
}

/// How many descriptors the host needs beside the connections of clients.
fn own(config: &Config) -> usize {
    let metrics = if config.metrics.listen.is_some() { METRICS } else { 0 };
    let waiting = if config.redis.wait.is_some() { WAITING } else { 0 };
    STORES_AND_FILES + config.delivery.connections() + crate::server::OVERFLOW + metrics + waiting
}

/// As many of the wanted connections as fit beside the host's own descriptors, and at least a quarter of the limit.
fn fitting(wanted: NonZeroUsize, own: usize, allowed: usize) -> NonZeroUsize {
    let most = allowed.saturating_sub(own).max(allowed / 4);
    wanted.min(NonZeroUsize::new(most).unwrap_or(NonZeroUsize::MIN))
}

/// Raises the soft limit to `wanted`, or as far as the hard limit allows, and returns the limit that holds then.
fn raise(wanted: usize) -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let (Some(soft), wanted) = (current, u64::try_from(wanted).unwrap_or(u64::MAX)) else { return usize::MAX };
    if soft >= wanted {
        return usize::try_from(soft).unwrap_or(usize::MAX);
    }
    let raised = maximum.map_or(wanted, |hard| wanted.min(hard));
    let soft = match setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum }) {
        Ok(()) => raised,
        Err(_) => soft,
    };
    usize::try_from(soft).unwrap_or(usize::MAX)
}

/// Connections to the store (10 of PostgreSQL or SQLite, and SQLite's files) and to the users' table (16), the standard
/// streams, the listener, the outbox, and the runtime's own descriptors.
const STORES_AND_FILES: usize = 96;
/// The listener of the metrics, and those who read them.
const METRICS: usize = 5;
/// The connections to 8 primaries of Redis whose swaps wait for replicas, 17 each.
const WAITING: usize = 8 * 17;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_room_for_the_rest() {
        let fit = |wanted, own, allowed| fitting(NonZeroUsize::new(wanted).unwrap(), own, allowed).get();
        assert_eq!(fit(4096, 200, 1_048_576), 4096);
        assert_eq!(fit(4096, 200, 4296), 4096);
        assert_eq!(fit(4096, 200, 4295), 4095);
        assert_eq!(fit(4096, 200, 1024), 824);
        assert_eq!(fit(4096, 200, 64), 16);
        assert_eq!(fit(8, 200, 1024), 8);
        assert_eq!(fit(8, 200, 1), 1);
    }
}
