//! The users of the table: `admin users`.

use otp_grant::Subject;
use otp_grant::time::{Clock as _, SystemClock, Timestamp};
use serde_json::{Value, json};

use super::args::{ListArgs, ShowArgs, Users};
use super::audit::Listed;
use super::{Desk, Outcome, read_address, text_of};
use crate::args::Args;
use crate::calendar::Utc;
use crate::config::{self, At as _, Config, ConfigError};
use crate::directory::{ListedUser, Page, TableError, UsersTable};

pub(super) async fn run(mut desk: Desk<'_>, command: &Users, args: &Args) -> Result<Outcome, ConfigError> {
    let url = table_url(desk.config, args)?;
    let ended = match open(&url).await {
        Ok(table) => match command {
            Users::List(page) => list(&mut desk, &table, page).await,
            Users::Show(on) => show(&mut desk, &table, on).await,
            Users::Lock(on) => change_status(&mut desk, &table, &on.subject, "active", "locked").await,
            Users::Unlock(on) => change_status(&mut desk, &table, &on.subject, "locked", "active").await,
            Users::SignOut(on) => sign_out(&mut desk, &table, &on.subject).await,
        },
        Err(error) => Err(error.into()),
    };
    match ended {
        Ok(outcome) => Ok(outcome),
        Err(Failed::Table(error)) => Ok(Outcome::Failed(format!("users.table: {error}"))),
        Err(Failed::Config(error)) => Err(error),
    }
}

async fn list(desk: &mut Desk<'_>, table: &UsersTable, args: &ListArgs) -> Result<Outcome, Failed> {
    if args.show_addresses {
        desk.record.shows_addresses();
    }
    let status = args.status.map_or("", |status| status.name());
    desk.record.lists(Listed {
        prefix: args.prefix.clone(),
        after: args.after.clone(),
        status: status.to_owned(),
        limit: args.limit,
    });
    desk.record.begin()?;
    // One more user says whether there is another page.
    let page = Page { after: &args.after, prefix: &args.prefix, status, limit: args.limit + 1 };
    let mut users = table.page(&page).await?;
    let has_more = users.len() > usize::from(args.limit);
    users.truncate(args.limit.into());
    let next = users.last().filter(|_| has_more).map(|user| user.subject.clone());
    let shown: Vec<Shown> = users.into_iter().map(|user| Shown::new(user, args.show_addresses)).collect();
    Ok(Outcome::Done(if desk.json {
        json!({ "users": shown.iter().map(Shown::as_json).collect::<Vec<_>>(), "next": next }).to_string()
    } else {
        // The shell takes it as one word, whatever is in it.
        let more = next.map_or(String::new(), |next| {
            format!("\nThere are more: --after '{}'", printable(&next).replace('\'', r"'\''"))
        });
        format!("{}{more}", table_of(&shown))
    }))
}

async fn show(desk: &mut Desk<'_>, table: &UsersTable, args: &ShowArgs) -> Result<Outcome, Failed> {
    if args.show_addresses {
        desk.record.shows_addresses();
    }
    let text = text_of(&args.user, "SUBJECT|ADDRESS")?;
    let subject = Subject::new(&text).ok();
    let mut found = match &subject {
        Some(subject) => table.listed_by_subject(subject).await?,
        None => None,
    };
    if found.is_none() {
        name(desk, &text).await;
        if let Ok(address) = read_address(desk.records.server.addresses(), &text) {
            found = table.listed_by_address(&address).await?;
        }
    }
    let Some(user) = found else { return Ok(Outcome::Refused("no user has this subject or address".to_owned())) };
    desk.record.is_about_subject(&user.subject);
    desk.record.begin()?;
    let shown = Shown::new(user, args.show_addresses);
    Ok(Outcome::Done(if desk.json { shown.as_json().to_string() } else { shown.in_lines() }))
}

/// Locking and unlocking go between two statuses. The others are decisions of your service, and are kept.
async fn change_status(
    desk: &mut Desk<'_>,
    table: &UsersTable,
    subject: &str,
    from: &str,
    to: &str,
) -> Result<Outcome, Failed> {
    let Some(user) = user_of(desk, table, subject).await? else { return Ok(no_such_user()) };
    let is_now = printable(&user.status);
    if user.status != from && user.status != to {
        return Ok(Outcome::Refused(format!("the user is {is_now}, and only {from} users become {to}")));
    }
    desk.record.begin()?;
    let is_changed = user.status == from && table.change_status(subject, from, to).await?;
    if user.status == from && !is_changed {
        return Ok(Outcome::Refused("the user was changed at the same time; try again".to_owned()));
    }
    desk.record.has_changed(is_changed);
    Ok(Outcome::Done(match (desk.json, is_changed, to) {
        (true, ..) => json!({ "subject": subject, "status": to, "changed": is_changed }).to_string(),
        (false, false, _) => format!("The user was {to} before."),
        (false, true, "locked") => LOCKED.to_owned(),
        (false, true, _) => UNLOCKED.to_owned(),
    }))
}

async fn sign_out(desk: &mut Desk<'_>, table: &UsersTable, subject: &str) -> Result<Outcome, Failed> {
    if user_of(desk, table, subject).await?.is_none() {
        return Ok(no_such_user());
    }
    desk.record.begin()?;
    let Some(set) = table.sign_out(subject, SystemClock.now()).await? else { return Ok(no_such_user()) };
    desk.record.has_changed(true);
    Ok(Outcome::Done(if desk.json {
        json!({ "subject": subject, "tokens_valid_after": set.as_unix_millis() }).to_string()
    } else {
        SIGNED_OUT.to_owned()
    }))
}

/// Finds the user of a subject, and names it in the record.
async fn user_of(desk: &mut Desk<'_>, table: &UsersTable, text: &str) -> Result<Option<ListedUser>, Failed> {
    let subject = Subject::new(text).at("SUBJECT")?;
    let found = table.listed_by_subject(&subject).await?;
    match found {
        Some(_) => desk.record.is_about_subject(text),
        None => name(desk, text).await,
    }
    Ok(found)
}

/// Names in the record what no user has as their subject. It can be an address, which the record has as a hash alone.
async fn name(desk: &mut Desk<'_>, text: &str) {
    match read_address(desk.records.server.addresses(), text) {
        Ok(address) => {
            if let Some(key) = desk.records.key_of(&address).await {
                desk.record.is_about_address(key);
            }
        }
        // An address with a mistake in it still is one.
        Err(_) if text.contains('@') || text.bytes().filter(u8::is_ascii_digit).count() > MOST_DIGITS => {}
        Err(_) if Subject::new(text).is_ok() => desk.record.is_about_subject(text),
        Err(_) => {}
    }
}

/// Why a command was not done.
enum Failed {
    Config(ConfigError),
    Table(TableError),
}

impl From<ConfigError> for Failed {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

impl From<TableError> for Failed {
    fn from(error: TableError) -> Self {
        Self::Table(error)
    }
}

fn table_url(config: &Config, args: &Args) -> Result<config::Secret, ConfigError> {
    let place = "users.table";
    let Some(source) = &config.users.table else {
        let file = args.config.as_ref().map_or("the demo".to_owned(), |file| file.display().to_string());
        let what = format_args!(
            "there is no table: the users are those of [[users.list]] in {file}, where you can \
             change them, and those in the memory of a host, which no other process can reach"
        );
        return Err(ConfigError::new(place, what));
    };
    let url = source.read(place, config)?;
    config::check_database_url(place, &url)?;
    UsersTable::migration_of(&url).at(place)?;
    Ok(url)
}

/// Connects to the table of the hosts. Creates none.
async fn open(url: &config::Secret) -> Result<UsersTable, TableError> {
    let mut table = UsersTable::connect(url).await?;
    table.check().await?;
    table.find_test_users().await?;
    Ok(table)
}

/// A user whose addresses are shown as the command asks.
struct Shown(ListedUser);

impl Shown {
    fn new(mut user: ListedUser, show_addresses: bool) -> Self {
        if !show_addresses {
            user.phone_number = user.phone_number.as_deref().map(masked_number);
            user.email = user.email.as_deref().map(masked_email);
        }
        Self(user)
    }

    fn as_json(&self) -> Value {
        let ListedUser { subject, status, phone_number, email, tokens_valid_after, is_test } = &self.0;
        json!({
            "subject": subject,
            "status": status,
            "phone_number": phone_number,
            "email": email,
            "tokens_valid_after": tokens_valid_after,
            "is_test": is_test,
        })
    }

    fn cells(&self) -> [String; 5] {
        let ListedUser { subject, status, phone_number, email, tokens_valid_after, is_test } = &self.0;
        let text = |text: &Option<String>| text.as_deref().map_or("-".to_owned(), printable);
        let status = format!("{}{}", printable(status), if *is_test { " (test)" } else { "" });
        let instant = |millis: u64| Utc(Timestamp::from_unix_millis(millis)).to_string();
        let signed_out = tokens_valid_after.map_or("-".to_owned(), instant);
        [printable(subject), status, text(phone_number), text(email), signed_out]
    }

    fn in_lines(&self) -> String {
        let lines = NAMES.iter().zip(self.cells()).map(|(name, cell)| format!("{:<15}{cell}", format!("{name}:")));
        lines.collect::<Vec<_>>().join("\n")
    }
}

fn table_of(users: &[Shown]) -> String {
    let names = NAMES.map(str::to_uppercase);
    let rows: Vec<[String; 5]> = std::iter::once(names).chain(users.iter().map(Shown::cells)).collect();
    let mut lines = Vec::new();
    for row in &rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let width = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
            line.push_str(&format!("{cell:<0$}  ", width.unwrap_or_default()));
        }
        lines.push(line.trim_end().to_owned());
    }
    lines.join("\n")
}

/// All but the last two digits are hidden.
fn masked_number(number: &str) -> String {
    let shown_from = number.chars().count().saturating_sub(2);
    let masked = |(index, character)| if index >= shown_from || character == '+' { character } else { '*' };
    number.chars().enumerate().map(masked).collect()
}

/// The first character of a name, unless the name has no other, and the domain are shown.
fn masked_email(email: &str) -> String {
    let (name, domain) = email.rsplit_once('@').unwrap_or((email, ""));
    let first: String = name.chars().take(usize::from(name.chars().count() > 1)).collect();
    format!("{first}***@{domain}")
}

/// A text of the table in one line of a terminal, which takes control characters for commands.
fn printable(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { '\u{fffd}' } else { character }).collect()
}

fn no_such_user() -> Outcome {
    Outcome::Refused("no user has this subject".to_owned())
}

const NAMES: [&str; 5] = ["subject", "status", "phone number", "e-mail", "signed out"];
/// Subjects can have some digits in them. The shortest phone numbers have about 7.
const MOST_DIGITS: usize = 6;
const LOCKED: &str = "The user is locked. The next login, refresh, introspection or userinfo request of the user is refused. APIs that \
     check access tokens offline take them until they expire.";
const UNLOCKED: &str = "The user is active. Sessions that were not ended go on.";
const SIGNED_OUT: &str = "Every session of the user is over, with all its tokens. The user can log in again. APIs that check access \
     tokens offline take them until they expire.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_masked_address_keeps_what_support_needs_to_compare() {
        for (number, masked) in [("+8613612345678", "+***********78"), ("4711", "**11"), ("+1", "+1"), ("", "")] {
            assert_eq!(masked_number(number), masked);
        }
        for (email, masked) in [
            ("ada@example.com", "a***@example.com"),
            ("a@example.com", "***@example.com"),
            ("é@b@example.com", "é***@example.com"),
            ("nothing", "n***@"),
        ] {
            assert_eq!(masked_email(email), masked);
        }
    }

    #[test]
    fn a_table_stays_a_table_whatever_its_texts_are() {
        let user = |subject: &str, email: &str| {
            let email = Some(email.to_owned());
            let (status, subject) = ("locked".to_owned(), subject.to_owned());
            Shown(ListedUser { subject, status, phone_number: None, email, tokens_valid_after: Some(0), is_test: true })
        };
        let table = table_of(&[user("a", "é@example.com"), user("user-4711", "a\u{1b}[2J\nb")]);
        assert_eq!(
            table,
            "SUBJECT    STATUS         PHONE NUMBER  E-MAIL         SIGNED OUT\n\
             a          locked (test)  -             é@example.com  1970-01-01 00:00:00 UTC\n\
             user-4711  locked (test)  -             a\u{fffd}[2J\u{fffd}b        1970-01-01 00:00:00 UTC"
        );
    }
}
