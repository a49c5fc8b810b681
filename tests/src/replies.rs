//! Keeps the replies of a run, to be compared with those of a run over the other face.
//!
//! `REPLIES` names a folder. Each test has a file there, which is named after the test's thread. Each line is one
//! reply.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::LazyLock;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use otp_grant::Reply;

static FOLDER: LazyLock<Option<PathBuf>> = LazyLock::new(|| std::env::var_os("REPLIES").map(PathBuf::from));

/// Whether replies are kept.
pub(crate) fn are_kept() -> bool {
    FOLDER.is_some()
}

/// Keeps the reply to a request, and the code that was delivered for it.
pub(crate) fn keep_reply(method: &str, path: &str, code: Option<&str>, reply: Option<&Reply>) {
    keep(|| {
        let mut line = format!("{method} {path}");
        if let Some(code) = code {
            write!(line, " delivers {code}").unwrap();
        }
        match reply {
            None => line.push_str(": no endpoint"),
            Some(reply) => {
                write!(line, ": {}", reply.status()).unwrap();
                reply.headers().for_each(|(name, value)| write!(line, " [{name}: {value}]").unwrap());
                write!(line, " {}", reply.body().escape_ascii()).unwrap();
            }
        }
        line
    });
}

/// Keeps a line.
pub(crate) fn keep(line: impl FnOnce() -> String) {
    let Some(folder) = &*FOLDER else { return };
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("a thread without a name").replace("::", ".");
    let mut file = File::options().create(true).append(true).open(folder.join(name)).unwrap();
    file.write_all(format!("{}\n", masked(&line())).as_bytes()).unwrap();
}

/// Masks what is random whatever the harness does: the signatures of ES256, and the subjects that a
/// [`MemoryDirectory`](otp_grant::MemoryDirectory) gives to users who sign up. Tokens are kept as what they say.
fn masked(line: &str) -> String {
    let is_of_a_token = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let mut masked = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(begin) = rest.find("eyJ") {
        let (before, from) = rest.split_at(begin);
        let (word, after) = from.split_at(from.find(|c| !is_of_a_token(c)).unwrap_or(from.len()));
        masked.push_str(before);
        match word.split('.').collect::<Vec<_>>()[..] {
            [header, claims, _] => write!(masked, "{}.{}.(signature)", read(header), read(claims)).unwrap(),
            _ => masked.push_str(word),
        }
        rest = after;
    }
    masked.push_str(rest);
    without_random_subjects(&masked)
}

fn read(part: &str) -> String {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(part);
    bytes.map_or_else(|_| part.to_owned(), |bytes| bytes.escape_ascii().to_string())
}

fn without_random_subjects(line: &str) -> String {
    const NAMES: [&str; 2] = [r#"\"sub\":\""#, r#"Subject(""#];
    let mut masked = line.to_owned();
    for name in NAMES {
        let (mut from, mut before) = (masked.as_str(), String::with_capacity(masked.len()));
        while let Some((head, tail)) = from.split_once(name) {
            let subject = tail.split(['"', '\\']).next().unwrap_or_default();
            let is_random = BASE64_URL_SAFE_NO_PAD.decode(subject).is_ok_and(|bytes| bytes.len() == 16);
            before.push_str(head);
            before.push_str(name);
            before.push_str(if is_random { "(random)" } else { subject });
            from = &tail[subject.len()..];
        }
        masked = before + from;
    }
    masked
}
