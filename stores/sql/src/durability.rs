//! Settings of a database that can make it forget a record.

use core::fmt;

/// A reason why a database can forget what it has acknowledged. A code is then accepted twice, or guesses are
/// forgotten.
///
/// Its text is one line for a log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DurabilityRisk {
    /// PostgreSQL acknowledges before a commit is on the disk (`synchronous_commit`).
    AsynchronousCommit,
    /// PostgreSQL has synchronous standbys, and `synchronous_commit` does not wait until a commit is on their disk.
    StandbyNotAwaited {
        /// The setting.
        synchronous_commit: String,
    },
    /// PostgreSQL has standbys, and waits for none of them (`synchronous_standby_names`).
    AsynchronousStandby,
    /// PostgreSQL leaves it to the operating system when something is written to the disk (`fsync`).
    NoFsync,
    /// PostgreSQL can't repair a page that a crash has torn (`full_page_writes`).
    NoFullPageWrites,
    /// SQLite has no journal on the disk (`journal_mode`).
    NoJournal {
        /// The setting.
        journal_mode: String,
    },
    /// SQLite acknowledges before a commit is on the disk (`synchronous`).
    LateSync,
}

impl fmt::Display for DurabilityRisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AsynchronousCommit => f.write_str(
                "PostgreSQL has synchronous_commit off: a crash loses what was last acknowledged, and a spent code is good \
                 again",
            ),
            Self::StandbyNotAwaited { synchronous_commit } => write!(
                f,
                "PostgreSQL has synchronous_commit {synchronous_commit}, which does not wait for the disk of a standby: a \
                 failover can lose what was acknowledged; on does not"
            ),
            Self::AsynchronousStandby => f.write_str(
                "PostgreSQL has a standby and no synchronous_standby_names: if it is promoted, what was last acknowledged \
                 is lost, and a spent code is good again",
            ),
            Self::NoFsync => f.write_str(
                "PostgreSQL has fsync off: a crash of the machine loses what was acknowledged, or the whole database",
            ),
            Self::NoFullPageWrites => f.write_str(
                "PostgreSQL has full_page_writes off: a crash of the machine can destroy records",
            ),
            Self::NoJournal { journal_mode } => write!(
                f,
                "SQLite has journal_mode {journal_mode}: a crash of the process can destroy the database"
            ),
            Self::LateSync => f.write_str(
                "SQLite has a synchronous level below FULL: a crash of the machine loses what was acknowledged",
            ),
        }
    }
}

#[cfg(feature = "postgres")]
impl DurabilityRisk {
    /// Judges the settings of a PostgreSQL, as [`POSTGRES_SETTINGS`] returns them.
    pub(crate) fn of_postgres(
        synchronous_commit: &str,
        fsync: &str,
        full_page_writes: &str,
        synchronous_standby_names: &str,
        standbys: i64,
    ) -> Vec<Self> {
        let mut risks = Vec::new();
        let has_synchronous = !synchronous_standby_names.trim().is_empty();
        match synchronous_commit {
            "off" => risks.push(Self::AsynchronousCommit),
            "local" | "remote_write" if has_synchronous => {
                risks.push(Self::StandbyNotAwaited { synchronous_commit: synchronous_commit.to_owned() });
            }
            _ => {}
        }
        if standbys > 0 && !has_synchronous {
            risks.push(Self::AsynchronousStandby);
        }
        if fsync == "off" {
            risks.push(Self::NoFsync);
        }
        if full_page_writes == "off" {
            risks.push(Self::NoFullPageWrites);
        }
        risks
    }
}

#[cfg(feature = "sqlite")]
impl DurabilityRisk {
    /// Judges the settings of a connection to SQLite.
    pub(crate) fn of_sqlite(journal_mode: &str, synchronous: i64) -> Vec<Self> {
        let mut risks = Vec::new();
        if matches!(journal_mode, "memory" | "off") {
            risks.push(Self::NoJournal { journal_mode: journal_mode.to_owned() });
        }
        if synchronous < FULL {
            risks.push(Self::LateSync);
        }
        risks
    }
}

/// Every user may read these settings, and count the standbys.
#[cfg(feature = "postgres")]
pub(crate) const POSTGRES_SETTINGS: &str = "\
    SELECT current_setting('synchronous_commit'), current_setting('fsync'), current_setting('full_page_writes'), \
    current_setting('synchronous_standby_names'), (SELECT count(*) FROM pg_stat_replication)";

#[cfg(feature = "sqlite")]
const FULL: i64 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(feature = "postgres")]
    fn waiting_for_a_standby_means_its_disk() {
        let judged = |commit, names, standbys| DurabilityRisk::of_postgres(commit, "on", "on", names, standbys);
        assert_eq!(judged("on", "", 0), []);
        assert_eq!(judged("local", "", 0), []);
        assert_eq!(judged("on", "*", 1), []);
        assert_eq!(judged("remote_apply", "*", 1), []);
        assert_eq!(judged("on", "", 1), [DurabilityRisk::AsynchronousStandby]);
        for commit in ["local", "remote_write"] {
            let synchronous_commit = commit.to_owned();
            assert_eq!(judged(commit, "*", 1), [DurabilityRisk::StandbyNotAwaited { synchronous_commit }]);
        }
        assert_eq!(judged("off", "*", 1), [DurabilityRisk::AsynchronousCommit]);
    }

    #[test]
    #[cfg(feature = "sqlite")]
    fn a_journal_that_is_synced_is_durable() {
        for mode in ["wal", "delete", "truncate", "persist"] {
            assert_eq!(DurabilityRisk::of_sqlite(mode, 2), []);
            assert_eq!(DurabilityRisk::of_sqlite(mode, 3), []);
        }
        assert_eq!(DurabilityRisk::of_sqlite("wal", 1), [DurabilityRisk::LateSync]);
        let journal_mode = "memory".to_owned();
        assert_eq!(DurabilityRisk::of_sqlite("memory", 2), [DurabilityRisk::NoJournal { journal_mode }]);
    }
}
