//! Keeps `docs/messages.md` current. The guide shows every built-in text as it is sent, for readers of each language.
//!
//! `WRITE_MESSAGES=1 cargo test -p otp-grant-tests --test sources messages` writes its tables anew.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use otp_grant::Usage;
use otp_grant::grant::CustomUsage;
use otp_grant::message::{Application, Content, Language, Link, MessageKit, OriginHost};

const LANGUAGES: [(&str, &str); 10] = [
    ("ar", "Arabic"),
    ("de", "German"),
    ("en", "English"),
    ("es", "Spanish"),
    ("fr", "French"),
    ("hi", "Hindi"),
    ("ja", "Japanese"),
    ("pt-BR", "Portuguese (Brazil)"),
    ("ru", "Russian"),
    ("zh-Hans", "Chinese (simplified)"),
];
const CODE: &str = "123456";
/// A line break in a table of Markdown.
const BREAK: &str = "<br>";
/// The texts follow this line.
const BEGIN: &str = "<!-- The rest is written by tests/sources/messages.rs. -->\n";
const LONGEST_HOST: usize = 120;

fn usages() -> [(Usage, &'static str); 5] {
    let own = Usage::Custom(CustomUsage::new("confirm_payment").unwrap());
    [
        (Usage::Login, "`login`"),
        (Usage::Signup, "`signup`"),
        (Usage::UpdateUserinfo, "`update_userinfo`"),
        (Usage::ResetPassword, "`reset_password`"),
        (own, "of the host's own"),
    ]
}

fn host_of(length: usize) -> OriginHost {
    let dot = |place: usize| if place % 50 == 25 && place + 1 < length { '.' } else { 'a' };
    OriginHost::new(&(0..length).map(|place| if place == 0 { 'a' } else { dot(place) }).collect::<String>()).unwrap()
}

fn kit(language: &Language, host: Option<usize>, two: bool) -> Option<MessageKit> {
    let kit = MessageKit::builder(Application::new("Example").unwrap()).languages([language.clone()]);
    let kit = if two { kit.allow_two_segments() } else { kit };
    match host {
        Some(length) => kit.origin(host_of(length)).build().ok(),
        None => kit.build().ok(),
    }
}

fn sms(kit: &MessageKit, usage: Usage, tag: &str) -> String {
    let content = Content::from_text(CODE, usage, Duration::from_secs(180)).unwrap();
    let sms = kit.sms(&content, tag);
    // Without the last line, the host's.
    sms.expose_secret().lines().filter(|line| !line.starts_with('@')).collect::<Vec<_>>().join(BREAK)
}

/// The last line that a text of one segment can have at most.
#[derive(Clone, Copy)]
enum Fits {
    NoHost,
    Host(usize),
    /// No host that is this long. The text takes two segments.
    Nothing,
}

/// The texts for a usage, and what each fits one segment with.
fn versions(language: &Language, kits: &[MessageKit], usage: Usage) -> Vec<(String, Fits)> {
    let tag = language.as_str();
    let mut versions = vec![(sms(&kit(language, None, false).unwrap(), usage, tag), Fits::NoHost)];
    for (index, kit) in kits.iter().enumerate() {
        let is_long = |warned: Option<Usage>| warned == Some(usage) || (warned.is_none() && is_own(usage));
        if kit.warnings().iter().any(|long| is_long(long.usage)) {
            versions.push((sms(kit, usage, tag), Fits::Nothing));
            break;
        }
        let (text, fits) = (sms(kit, usage, tag), Fits::Host(index + 1));
        match versions.last_mut() {
            Some((last, longest)) if *last == text => *longest = fits,
            _ => versions.push((text, fits)),
        }
    }
    versions
}

fn is_own(usage: Usage) -> bool {
    matches!(usage, Usage::Custom(_))
}

fn guide() -> String {
    let mut guide = String::from(BEGIN);
    guide.push_str("\n## How long a host can be\n\n");
    guide.push_str(
        "The longest host that fits one segment with codes of 6 characters that are valid for 3 minutes:\n\n",
    );
    let names: Vec<&str> = usages().iter().map(|(_, name)| *name).collect();
    writeln!(guide, "| language | {} |\n|---|{}", names.join(" | "), "---|".repeat(names.len())).unwrap();
    let mut sections = String::new();
    for (tag, name) in LANGUAGES {
        let language = Language::new(tag).unwrap();
        let kits: Vec<MessageKit> = (1..=LONGEST_HOST).map_while(|length| kit(&language, Some(length), true)).collect();
        writeln!(sections, "\n## {name}: `{tag}`\n\n### SMS\n").unwrap();
        writeln!(sections, "| usage | text | last line |\n|---|---|---|").unwrap();
        write!(guide, "| {name} |").unwrap();
        for (usage, usage_name) in usages() {
            let versions = versions(&language, &kits, usage);
            for (text, fits) in &versions {
                let fits = match fits {
                    Fits::NoHost => "none".to_owned(),
                    Fits::Host(length) => format!("host of up to {length}"),
                    Fits::Nothing => "longer host, in two segments".to_owned(),
                };
                writeln!(sections, "| {usage_name} | {text} | {fits} |").unwrap();
            }
            let longest =
                versions.iter().filter_map(|(_, fits)| if let Fits::Host(host) = fits { Some(*host) } else { None });
            write!(guide, " {} |", longest.max().unwrap_or_default()).unwrap();
        }
        guide.push('\n');
        emails(&mut sections, tag, &language);
    }
    guide + &sections
}

fn emails(guide: &mut String, tag: &str, language: &Language) {
    let page = Link::new("https://app.example/login").unwrap();
    let kit = MessageKit::builder(Application::new("Example").unwrap()).languages([language.clone()]);
    let (with_link, kit) = (kit.link(Usage::Login, page).build().unwrap(), self::kit(language, None, false).unwrap());
    let content = |usage, seconds| Content::from_text(CODE, usage, Duration::from_secs(seconds)).unwrap();
    let email = with_link.email(&content(Usage::Login, 180), tag);
    let (subject, text) = (email.subject().expose_secret(), email.text().expose_secret());
    writeln!(guide, "\n### E-mail\n\n```text\n{subject}\n\n{text}\n```\n").unwrap();
    writeln!(guide, "| usage | first line |\n|---|---|").unwrap();
    for (usage, name) in usages() {
        let email = kit.email(&content(usage, 180), tag);
        writeln!(guide, "| {name} | {} |", email.text().expose_secret().lines().next().unwrap()).unwrap();
    }
    writeln!(guide, "\nTimes:\n").unwrap();
    for seconds in [1, 2, 5, 21, 42, 60, 120, 180, 300, 660, 1260, 1320, 6000, 6180] {
        let email = kit.email(&content(Usage::Login, seconds), tag);
        // The time is in the third paragraph.
        writeln!(guide, "- {}", email.text().expose_secret().split("\n\n").nth(2).unwrap()).unwrap();
    }
}

#[test]
fn the_guide_shows_every_built_in_text_as_it_is_sent() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/messages.md");
    let document = fs::read_to_string(&path).unwrap();
    let (head, _) = document.split_once(BEGIN).expect("the guide has the line after which the texts follow");
    let current = format!("{head}{}", guide());
    if std::env::var_os("WRITE_MESSAGES").is_some() {
        fs::write(&path, current).unwrap();
        return;
    }
    let differs = document.lines().zip(current.lines()).find(|(written, sent)| written != sent);
    assert!(document == current, "run with WRITE_MESSAGES=1, as the head of this file says: {differs:?}");
}

/// A version of a text that is never sent would not be in the guide.
#[test]
fn each_version_of_a_text_is_in_the_guide() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let guide = fs::read_to_string(root.join("docs/messages.md")).unwrap();
    let mut texts = 0;
    for entry in fs::read_dir(root.join("src/message/texts")).unwrap() {
        let source = fs::read_to_string(entry.unwrap().path()).unwrap();
        for line in source.lines().filter_map(|line| line.split_once("\"{code}")) {
            let line = line.1.trim_end_matches(['"', ',']).replace("\\n", BREAK);
            // Text between placeholders.
            let longest = line.split(['{', '}']).step_by(2).max_by_key(|text| text.len());
            assert!(guide.contains(longest.unwrap()), "{line}");
            texts += 1;
        }
    }
    assert!(texts >= 30, "the texts were not found");
}
