//! TLS to PostgreSQL: what each `sslmode` verifies.
#![cfg(all(feature = "postgres", feature = "tls"))]
#![allow(clippy::unwrap_used, clippy::panic, reason = "the helpers of a scenario that fails have to fail loudly")]

mod support;

use std::path::Path;
use std::process::Command;

use otp_grant_sql::{PostgresDatabase, SqlOptions, SqlStoreError};
use otp_grant_stores_support::postgres::Postgres;

/// A server with a certificate for its address, and an authority that has issued it.
struct Secure {
    server: Postgres,
    folder: tempfile::TempDir,
    address: String,
}

impl Secure {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // An address of this process alone, for the usual port.
        let [_, _, high, low] = std::process::id().to_be_bytes();
        let address = format!("127.77.{high}.{}", low.max(1));
        for name in ["ca", "other"] {
            let subject = format!("/CN={name}");
            let made = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
            let files = ["-subj", &subject, "-keyout", &format!("{name}.key"), "-out", &format!("{name}.pem")];
            openssl(folder.path(), &[&made[..], &files].concat());
        }
        let request =
            ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=database"];
        openssl(folder.path(), &[&request[..], &["-keyout", "server.key", "-out", "server.csr"]].concat());
        std::fs::write(folder.path().join("names"), format!("subjectAltName = IP:{address}")).unwrap();
        let issued = ["x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"];
        openssl(folder.path(), &[&issued[..], &["-days", "2", "-extfile", "names", "-out", "server.pem"]].concat());

        let mut server = Postgres::with(&["fsync=off", &format!("listen_addresses={address}")]);
        server.take("server.key", &folder.path().join("server.key"));
        server.take("server.crt", &folder.path().join("server.pem"));
        server.restart_with("ssl=on");
        Self { server, folder, address }
    }

    fn file(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Whether a connection is encrypted.
    async fn is_encrypted(&self, host: &str, parameters: &str) -> Result<bool, SqlStoreError> {
        let url = format!("postgres://postgres@{host}/postgres?{parameters}");
        let database = PostgresDatabase::connect(&url, SqlOptions::default()).await?;
        let question = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
        Ok(database.find(question, &[]).await?.unwrap().get(0))
    }
}

fn openssl(folder: &Path, arguments: &[&str]) {
    let output = Command::new("openssl").args(arguments).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_mode_verifies_what_it_says() {
    let secure = Secure::start();
    let (address, ca, other) = (&*secure.address, secure.file("ca.pem"), secure.file("other.pem"));
    let another_name = format!("hostaddr={address}");
    for (mode, encrypted) in [("disable", false), ("allow", false), ("prefer", true), ("require", true)] {
        let answer = secure.is_encrypted(address, &format!("sslmode={mode}")).await;
        assert_eq!(answer.unwrap(), encrypted, "{mode}");
    }
    assert!(secure.is_encrypted(address, "").await.unwrap());
    assert!(secure.is_encrypted(address, &format!("sslmode=verify-ca&sslrootcert={ca}")).await.unwrap());
    assert!(secure.is_encrypted(address, &format!("sslmode=verify-full&sslrootcert={ca}")).await.unwrap());
    let by_name = format!("sslmode=verify-ca&sslrootcert={ca}&{another_name}");
    assert!(secure.is_encrypted("localhost", &by_name).await.unwrap());
    for (host, parameters) in [
        ("localhost", format!("sslmode=verify-full&sslrootcert={ca}&{another_name}")),
        (address, format!("sslmode=verify-full&sslrootcert={other}")),
        (address, format!("sslmode=verify-ca&sslrootcert={other}")),
        (address, "sslmode=verify-full".to_owned()),
        (address, "sslmode=verify-ca".to_owned()),
    ] {
        let error = secure.is_encrypted(host, &parameters).await.unwrap_err();
        assert!(matches!(error, SqlStoreError::Connection(_)), "{parameters}: {error:?}");
    }
    for parameters in [
        "sslmode=verify-full&sslrootcert=/nonexistent".to_owned(),
        format!("sslmode=verify-full&sslrootcert={}", secure.file("ca.key")),
        format!("sslmode=require&sslcert={ca}"),
        format!("sslmode=require&sslcert={ca}&sslkey={ca}"),
        "sslmode=full".to_owned(),
    ] {
        let error = secure.is_encrypted(address, &parameters).await.unwrap_err();
        assert!(matches!(error, SqlStoreError::Configuration(_)) && !error.is_retryable(), "{parameters}: {error:?}");
    }
    // A server without TLS.
    let url = format!("{}&sslmode=require", secure.server.url());
    let error = PostgresDatabase::connect(&url, SqlOptions::default()).await.unwrap_err();
    assert!(matches!(error, SqlStoreError::Connection(_)), "{error:?}");
}
