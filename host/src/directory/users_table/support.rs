//! What support staff ask of the table, and change in it: lists, a status, and "sign out everywhere".

use otp_grant::time::Timestamp;
use otp_grant::{Address, Subject};
use otp_grant_sql::rusqlite::types::Value;
use otp_grant_sql::rusqlite::{self, OptionalExtension as _};
use serde::Deserialize;

use super::{Database, TableError, UsersTable};

/// A user, as support staff see them.
#[derive(Deserialize)]
pub(crate) struct ListedUser {
    pub(crate) subject: String,
    pub(crate) status: String,
    pub(crate) phone_number: Option<String>,
    pub(crate) email: Option<String>,
    /// Milliseconds since 1970.
    pub(crate) tokens_valid_after: Option<u64>,
    pub(crate) is_test: bool,
}

/// Which users a list has, in the order of their subjects. An empty text stands for all.
pub(crate) struct Page<'a> {
    pub(crate) after: &'a str,
    pub(crate) prefix: &'a str,
    pub(crate) status: &'a str,
    pub(crate) limit: u16,
}

impl UsersTable {
    /// A page of the users. It begins behind a subject, which the primary key finds at once.
    pub(crate) async fn page(&self, page: &Page<'_>) -> Result<Vec<ListedUser>, TableError> {
        let limit = i64::from(page.limit);
        let begins = match &self.database {
            Database::Postgres(_) => "starts_with(subject, $2)",
            Database::Sqlite(_) => "substr(subject, 1, length($2)) = $2",
        };
        let filter = format!("subject > $1 AND {begins} AND ($3 = '' OR status = $3) ORDER BY subject LIMIT $4");
        let Page { after, prefix, status, .. } = *page;
        match &self.database {
            Database::Postgres(database) => {
                let row = database.find(&self.select(&filter), &[&after, &prefix, &status, &limit]).await?;
                let json: Option<String> = row.and_then(|row| row.try_get(0).ok());
                users(json.as_deref())
            }
            Database::Sqlite(_) => {
                let [after, prefix, status] = [after, prefix, status].map(|text| Value::from(text.to_owned()));
                self.sqlite_users(&filter, [after, prefix, status, limit.into()]).await
            }
        }
    }

    /// The user of a subject.
    pub(crate) async fn listed_by_subject(&self, subject: &Subject) -> Result<Option<ListedUser>, TableError> {
        self.listed("subject", subject.as_str()).await
    }

    /// The user of an address.
    pub(crate) async fn listed_by_address(&self, address: &Address) -> Result<Option<ListedUser>, TableError> {
        let column = match address {
            Address::Phone(_) => "phone_number",
            Address::Email(_) => "email",
        };
        self.listed(column, address.as_str()).await
    }

    /// Changes the status of a user, if it is still the expected one.
    ///
    /// # Errors
    /// [`TableError`]. The change may have been made.
    pub(crate) async fn change_status(&self, subject: &str, from: &str, to: &str) -> Result<bool, TableError> {
        let changed = match &self.database {
            Database::Postgres(database) => database.find_once(CHANGE_STATUS, &[&to, &subject, &from]).await?.is_some(),
            Database::Sqlite(database) => {
                let parameters = [to, subject, from].map(str::to_owned);
                let change = move |file: &rusqlite::Connection| {
                    file.query_row(CHANGE_STATUS, rusqlite::params_from_iter(parameters), |_| Ok(())).optional()
                };
                database.write(change).await?.is_some()
            }
        };
        Ok(changed)
    }

    /// Ends every session of a user that began before now. Returns the instant that was set, or `None` without a user.
    ///
    /// Sessions that know the instant go on, so each sign-out sets another one, and none that is earlier.
    ///
    /// # Errors
    /// [`TableError`]. The instant may have been set. Another call does no harm.
    pub(crate) async fn sign_out(&self, subject: &str, now: Timestamp) -> Result<Option<Timestamp>, TableError> {
        let millis = i64::try_from(now.as_unix_millis()).map_err(|_| TableError::Other)?;
        let set: Option<i64> = match &self.database {
            Database::Postgres(database) => {
                let row = database.find_once(SIGN_OUT, &[&millis, &subject]).await?;
                row.map(|row| row.try_get(0)).transpose().map_err(|_| TableError::Unreadable("tokens_valid_after"))?
            }
            Database::Sqlite(database) => {
                let subject = subject.to_owned();
                let sign_out = move |file: &rusqlite::Connection| {
                    file.query_row(SIGN_OUT, (millis, subject), |row| row.get(0)).optional()
                };
                database.write(sign_out).await?
            }
        };
        Ok(set.and_then(|millis| u64::try_from(millis).ok()).map(Timestamp::from_unix_millis))
    }

    async fn listed(&self, column: &str, key: &str) -> Result<Option<ListedUser>, TableError> {
        let filter = format!("{column} = $1");
        let users = match &self.database {
            Database::Postgres(database) => {
                let json: Option<String> =
                    database.find(&self.select(&filter), &[&key]).await?.and_then(|row| row.try_get(0).ok());
                users(json.as_deref())?
            }
            Database::Sqlite(_) => self.sqlite_users(&filter, [key.to_owned().into()]).await?,
        };
        Ok(users.into_iter().next())
    }

    async fn sqlite_users<const N: usize>(
        &self,
        filter: &str,
        parameters: [Value; N],
    ) -> Result<Vec<ListedUser>, TableError> {
        let Database::Sqlite(database) = &self.database else { return Err(TableError::Other) };
        let statement = self.select(filter);
        let read = move |file: &rusqlite::Connection| {
            file.query_row(&statement, rusqlite::params_from_iter(parameters), |row| row.get::<_, String>(0)).optional()
        };
        users(database.read(read).await?.as_deref())
    }

    /// Selects users as one row of JSON: an adapter returns one row.
    fn select(&self, filter: &str) -> String {
        let is_test = if self.flags_test_users() { "is_test" } else { "FALSE AS is_test" };
        let rows = format!(
            "SELECT subject, status, phone_number, email, tokens_valid_after, {is_test} FROM otp_grant_users WHERE {filter}"
        );
        match &self.database {
            Database::Postgres(_) => {
                format!("SELECT CAST(json_agg(listed ORDER BY subject) AS TEXT) FROM ({rows}) AS listed")
            }
            Database::Sqlite(_) => format!(
                "SELECT json_group_array(json_object('subject', subject, 'status', status, 'phone_number', phone_number, \
                 'email', email, 'tokens_valid_after', tokens_valid_after, \
                 'is_test', json(CASE WHEN is_test THEN 'true' ELSE 'false' END))) FROM ({rows})"
            ),
        }
    }
}

/// PostgreSQL has NULL for no users.
fn users(json: Option<&str>) -> Result<Vec<ListedUser>, TableError> {
    json.map_or(Ok(Vec::new()), |json| serde_json::from_str(json).map_err(|_| TableError::Unreadable("a column")))
}

/// SQLite numbers parameters in the order in which a statement has them, so that is also the order of their numbers.
const CHANGE_STATUS: &str =
    "UPDATE otp_grant_users SET status = $1 WHERE subject = $2 AND status = $3 RETURNING subject";
const SIGN_OUT: &str = "UPDATE otp_grant_users SET tokens_valid_after = \
    CASE WHEN tokens_valid_after >= $1 THEN tokens_valid_after + 1 ELSE $1 END \
    WHERE subject = $2 RETURNING tokens_valid_after";
