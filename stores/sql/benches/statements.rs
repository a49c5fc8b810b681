//! The six statements of a login on a PostgreSQL, for `statements.py`: statements URL CLIENTS LOGINS
//!
//! Prints the processor time of this process for one login, in microseconds. Start-up, and the first logins of each
//! connection, are not counted.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a bench that fails has to fail loudly"
)]

use std::time::Duration;

use otp_grant::Store;
use otp_grant::store::Swap;
use otp_grant_sql::{PostgresStore, SqlOptions};
use otp_grant_stores_support::{key, later, record};
use rustix::time::{ClockId, clock_gettime};

fn main() {
    // cargo calls it with `--bench`.
    let arguments = std::env::args().filter(|argument| argument != "--bench").collect::<Vec<_>>();
    let [_, url, clients, logins] = &arguments[..] else {
        println!("statements URL CLIENTS LOGINS");
        return;
    };
    let (clients, logins): (u64, u64) = (clients.parse().unwrap(), logins.parse().unwrap());
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(async {
        let options =
            SqlOptions::default().timeout(Duration::from_secs(30)).max_connections(clients.try_into().unwrap());
        let store = PostgresStore::connect(url, options).await.unwrap();
        store.migrate().await.unwrap();
        run(&store, clients, 0, 200).await;
        let before = processor_time();
        run(&store, clients, 1, logins).await;
        let took = processor_time() - before;
        println!("{:.1}", took.as_secs_f64() * 1e6 / f64::from(u32::try_from(clients * logins).unwrap()));
    });
}

async fn run(store: &PostgresStore, clients: u64, round: u64, logins: u64) {
    let tasks = (0..clients).map(|client| {
        let store = store.clone();
        tokio::spawn(async move {
            for login in 0..logins {
                let session = ((round * clients + client) << 32 | login) + 1_000_000;
                log_in(&store, client, session).await;
            }
        })
    });
    for task in futures::future::join_all(tasks).await {
        task.unwrap();
    }
}

/// A code is sent; it is redeemed: its guess is counted, the session is made, the code is spent.
async fn log_in(store: &PostgresStore, client: u64, session: u64) {
    let address = key(client);
    let loaded = store.load(&address).await.unwrap().map(|record| record.tag);
    let tag = loaded.map_or(0, |tag| u64::from(tag.as_bytes()[0]));
    let next = |step: u64| record((tag + step) % 200, later());
    assert_eq!(store.swap(&address, loaded, &next(1)).await.unwrap(), Swap::Stored);
    assert!(store.load(&address).await.unwrap().is_some());
    assert_eq!(store.swap(&address, Some(next(1).tag), &next(2)).await.unwrap(), Swap::Stored);
    assert_eq!(store.swap(&key(session), None, &record(1, later())).await.unwrap(), Swap::Stored);
    assert_eq!(store.swap(&address, Some(next(2).tag), &next(3)).await.unwrap(), Swap::Stored);
}

fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.try_into().unwrap())
}
