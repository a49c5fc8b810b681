//! Sessions: `admin sessions`.

use otp_grant::id::SessionId;
use serde_json::json;

use super::args::Sessions;
use super::{Desk, Outcome, UNAVAILABLE};
use crate::config::ConfigError;

pub(super) async fn run(desk: Desk<'_>, command: &Sessions) -> Result<Outcome, ConfigError> {
    let Sessions::End { session_id } = command;
    let what = "not the `sid` of a session, which has 43 characters";
    let session = SessionId::try_from(session_id.clone()).map_err(|_| ConfigError::new("SESSION_ID", what))?;
    desk.record.is_about_session(session);
    if let Some(failed) = desk.open_store().await? {
        return Ok(failed);
    }
    desk.record.begin()?;
    if desk.records.server.revoke_session(&session).await.is_err() {
        return Ok(Outcome::Failed(UNAVAILABLE.to_owned()));
    }
    let subject = desk.records.ended();
    desk.record.has_changed(subject.is_some());
    if let Some(subject) = &subject {
        desk.record.is_about_subject(subject.as_str());
    }
    let subject = subject.as_ref().map(|subject| subject.as_str());
    Ok(Outcome::Done(match subject {
        _ if desk.json => json!({ "ended": subject.is_some(), "subject": subject }).to_string(),
        Some(subject) => format!("The session of {subject} is over, with all its tokens."),
        None => "There is no such session, or it was over already.".to_owned(),
    }))
}
