//! The directory: clients and auth sources of the file, and users of the file or of a table.

mod clients;
mod users_table;

use std::collections::HashMap;
use std::sync::Arc;

use otp_grant::directory::{SignUp, UserClaims, UserStore};
use otp_grant::time::Timestamp;
use otp_grant::{Address, AddressPolicy, ClientId, MemoryDirectory, Scope, Subject, User};
use otp_grant_sql::PoolUsage;

use crate::config::{At, Config, ConfigError, UserEntry};
use crate::request_time;
pub(crate) use users_table::{ListedUser, Page, TableError, UsersTable};

/// The clients and auth sources of the file, and the users.
pub(crate) type HostDirectory = (MemoryDirectory, Arc<HostUsers>);

/// Puts the directory together.
pub(crate) fn read(config: &Config, base: &UserBase, addresses: &AddressPolicy) -> Result<HostDirectory, ConfigError> {
    if config.users.table.is_some() && !config.users.list.is_empty() {
        return Err(ConfigError::new("users.list", "users are either listed or in a table"));
    }
    let clients = clients::read(config)?;
    check_listed(&config.users.list, addresses)?;
    let mut listed = config.users.list.iter().enumerate();
    let listed = listed.try_fold(MemoryDirectory::new(), |users, (index, entry)| {
        with_user(users, entry, &format!("users.list[{index}]"), addresses)
    })?;
    let users = match base {
        UserBase::Memory(signed_up) => HostUsers::Memory { listed: Box::new(listed), signed_up: Arc::clone(signed_up) },
        UserBase::Table(table) => HostUsers::Table(Arc::clone(table)),
    };
    Ok((clients, Arc::new(users)))
}

/// The clients of the file, without a user: for what asks no user.
pub(crate) fn read_without_users(config: &Config) -> Result<HostDirectory, ConfigError> {
    let nobody = HostUsers::Memory { listed: Box::default(), signed_up: Arc::default() };
    Ok((clients::read(config)?, Arc::new(nobody)))
}

/// The users that live as long as the process, whatever becomes of the file.
#[derive(Debug)]
pub(crate) enum UserBase {
    /// Those who signed up since the process started.
    Memory(Arc<MemoryDirectory>),
    /// The users of a table.
    Table(Arc<UsersTable>),
}

impl UserBase {
    /// The connections to PostgreSQL, if the users are there.
    pub(crate) fn pool(&self) -> Option<PoolUsage> {
        match self {
            Self::Table(table) => table.pool(),
            Self::Memory(_) => None,
        }
    }
}

/// The users.
#[derive(Debug)]
pub(crate) enum HostUsers {
    /// The users of the file, and those who signed up since the process started. An address that both have is that of
    /// the listed user.
    Memory { listed: Box<MemoryDirectory>, signed_up: Arc<MemoryDirectory> },
    /// The users of a table.
    Table(Arc<UsersTable>),
}

impl HostUsers {
    /// Tells whether the users can be read.
    pub(crate) async fn check(&self) -> Result<(), UsersError> {
        match self {
            Self::Table(table) => Ok(table.check().await?),
            Self::Memory { .. } => Ok(()),
        }
    }
}

/// Signs up as the table does. A user who is known already keeps their claims.
async fn sign_up_in_memory(users: &MemoryDirectory, address: &Address) -> Result<SignUp, UsersError> {
    if let Some(user) = users.user_by_address(address).await? {
        return Ok(SignUp::Accepted(user));
    }
    let outcome = users.sign_up(address).await?;
    if let SignUp::Accepted(user) = &outcome {
        users.put_claims(user.subject.clone(), claims(proved_claims(address)));
    }
    Ok(outcome)
}

/// Each user of the file has addresses of their own: of two users with one number, only one could be found.
fn check_listed(list: &[UserEntry], policy: &AddressPolicy) -> Result<(), ConfigError> {
    let mut known: HashMap<(&str, String), usize> = HashMap::new();
    for (index, entry) in list.iter().enumerate() {
        // The code that reads the address reports an error in it.
        let phone = entry.phone_number.as_deref().and_then(|text| policy.phone_number(text).ok());
        let email = entry.email.as_deref().and_then(|text| policy.email(text).ok());
        let names = [
            Some(("subject", entry.subject.clone())),
            phone.map(|number| ("phone_number", number.as_str().to_owned())),
            email.map(|email| ("email", email.as_str().to_owned())),
        ];
        for (member, value) in names.into_iter().flatten() {
            if let Some(other) = known.insert((member, value), index) {
                let place = format!("users.list[{index}].{member}");
                return Err(ConfigError::new(place, format_args!("users.list[{other}] has the same")));
            }
        }
    }
    Ok(())
}

fn with_user(
    directory: MemoryDirectory,
    entry: &UserEntry,
    place: &str,
    policy: &AddressPolicy,
) -> Result<MemoryDirectory, ConfigError> {
    let subject = Subject::new(&entry.subject).at(format!("{place}.subject"))?;
    let mut user = User::new(subject.clone(), entry.status.into());
    user.tokens_valid_after = entry.tokens_valid_after.map(Timestamp::from_unix_millis);
    user.is_test = entry.test;
    let phone = entry.phone_number.as_deref().map(|text| policy.phone_number(text).map(Address::Phone));
    let email = entry.email.as_deref().map(|text| policy.email(text).map(Address::Email));
    let phone = phone.transpose().at(format!("{place}.phone_number"))?;
    let email = email.transpose().at(format!("{place}.email"))?;
    let directory = directory.with_user(user, phone.into_iter().chain(email));
    directory.put_claims(subject, claims(entry.claims.clone()));
    Ok(directory)
}

fn claims(members: serde_json::Map<String, serde_json::Value>) -> UserClaims {
    members.into_iter().fold(UserClaims::new(), |claims, (name, value)| claims.with(&name, value))
}

/// The claims of a user who signs up: the address that the user proved.
fn proved_claims(address: &Address) -> serde_json::Map<String, serde_json::Value> {
    let (name, verified) = match address {
        Address::Phone(_) => ("phone_number", "phone_number_verified"),
        Address::Email(_) => ("email", "email_verified"),
    };
    [(name.to_owned(), address.as_str().into()), (verified.to_owned(), true.into())].into_iter().collect()
}

impl UserStore for HostUsers {
    type Error = UsersError;

    async fn user_by_address(&self, address: &Address) -> Result<Option<User>, UsersError> {
        in_time(async {
            Ok(match self {
                Self::Table(table) => table.user_by_address(address).await?,
                Self::Memory { listed, signed_up } => match listed.user_by_address(address).await? {
                    Some(user) => Some(user),
                    None => signed_up.user_by_address(address).await?,
                },
            })
        })
        .await
    }

    async fn user_by_subject(&self, subject: &Subject) -> Result<Option<User>, UsersError> {
        in_time(async {
            Ok(match self {
                Self::Table(table) => table.user_by_subject(subject).await?,
                Self::Memory { listed, signed_up } => match listed.user_by_subject(subject).await? {
                    Some(user) => Some(user),
                    None => signed_up.user_by_subject(subject).await?,
                },
            })
        })
        .await
    }

    async fn user_claims(&self, subject: &Subject, client: &ClientId, scope: &Scope) -> Result<UserClaims, UsersError> {
        in_time(async {
            Ok(match self {
                Self::Table(table) => claims(table.claims(subject).await?),
                Self::Memory { listed, signed_up } => match listed.user_by_subject(subject).await? {
                    Some(_) => listed.user_claims(subject, client, scope).await?,
                    None => signed_up.user_claims(subject, client, scope).await?,
                },
            })
        })
        .await
    }

    async fn sign_up(&self, address: &Address) -> Result<SignUp, UsersError> {
        in_time(async {
            match self {
                Self::Table(table) => Ok(SignUp::Accepted(table.sign_up(address).await?)),
                Self::Memory { listed, signed_up } => match listed.user_by_address(address).await? {
                    Some(user) => Ok(SignUp::Accepted(user)),
                    None => sign_up_in_memory(signed_up, address).await,
                },
            }
        })
        .await
    }
}

/// Asks for users, as long as the request allows.
async fn in_time<T>(asked: impl Future<Output = Result<T, UsersError>>) -> Result<T, UsersError> {
    request_time::in_time(asked).await.unwrap_or(Err(UsersError::TooLate))
}

/// The users could not be read.
#[derive(Debug)]
pub(crate) enum UsersError {
    Memory(otp_grant::entropy::EntropyUnavailable),
    Table(TableError),
    /// The request had to be answered first.
    TooLate,
}

impl From<otp_grant::entropy::EntropyUnavailable> for UsersError {
    fn from(error: otp_grant::entropy::EntropyUnavailable) -> Self {
        Self::Memory(error)
    }
}

impl From<TableError> for UsersError {
    fn from(error: TableError) -> Self {
        Self::Table(error)
    }
}

impl std::fmt::Display for UsersError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Memory(error) => error.fmt(f),
            Self::Table(error) => error.fmt(f),
            Self::TooLate => f.write_str("the request took longer than limits.request_time"),
        }
    }
}

impl std::error::Error for UsersError {}
