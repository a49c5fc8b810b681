//! The HTML part of an e-mail. It loads nothing: no picture, no font, no style sheet.

use crate::message::language::Language;
use crate::message::template::{Part, Slot, Template, Values};
use crate::message::text::MessageText;

/// Makes an HTML document of a plain text. An empty line begins a paragraph.
pub(crate) fn from_text(template: &Template, language: &Language, values: &Values<'_>) -> MessageText {
    let direction = if language.is_right_to_left() { "rtl" } else { "ltr" };
    let mut html = String::with_capacity(bound(template, values) + HEAD_AND_FOOT);
    html.extend(["<!DOCTYPE html>\n<html lang=\"", language.as_str(), "\" dir=\"", direction]);
    html.push_str("\">\n<head><meta charset=\"utf-8\"></head>\n<body style=\"font-family: sans-serif\">\n<p>");
    let parts = template.parts();
    for (index, part) in parts.iter().enumerate() {
        match part {
            Part::Literal(text) => {
                for (number, paragraph) in text.split("\n\n").enumerate() {
                    if number > 0 {
                        html.push_str("</p>\n<p>");
                    }
                    escape(paragraph, true, &mut html);
                }
            }
            Part::Slot(Slot::Code) => {
                let before = index.checked_sub(1).and_then(|index| parts.get(index));
                let begins = before.is_none_or(|part| matches!(part, Part::Literal(text) if text.ends_with("\n\n")));
                let after = parts.get(index + 1);
                let ends = after.is_none_or(|part| matches!(part, Part::Literal(text) if text.starts_with("\n\n")));
                let (open, close) = if begins && ends { LARGE } else { ISOLATED };
                html.push_str(open);
                escape(values.code, false, &mut html);
                html.push_str(close);
            }
            Part::Slot(Slot::Link) => {
                html.push_str("<a dir=\"ltr\" href=\"");
                escape(values.link, false, &mut html);
                html.push_str("\">");
                escape(values.link, false, &mut html);
                html.push_str("</a>");
            }
            Part::Slot(slot) => {
                html.push_str("<bdi>");
                escape(values.of(*slot), false, &mut html);
                html.push_str("</bdi>");
            }
        }
    }
    html.push_str("</p>\n</body>\n</html>\n");
    MessageText::new(html)
}

/// Writes the values into an HTML document of the host, as text.
pub(crate) fn from_html(template: &Template, values: &Values<'_>) -> MessageText {
    let mut html = String::with_capacity(bound(template, values));
    for part in template.parts() {
        match part {
            Part::Literal(text) => html.push_str(text),
            Part::Slot(slot) => escape(values.of(*slot), false, &mut html),
        }
    }
    MessageText::new(html)
}

/// A length that the document does not exceed. The document is therefore never moved in memory.
fn bound(template: &Template, values: &Values<'_>) -> usize {
    let of_part = |part: &Part| match part {
        Part::Literal(text) => text.len() * LONGEST_ESCAPE,
        // A link is written twice.
        Part::Slot(slot) => values.of(*slot).len() * LONGEST_ESCAPE * 2 + LONGEST_MARKUP,
    };
    template.parts().iter().map(of_part).sum()
}

fn escape(text: &str, breaks_lines: bool, html: &mut String) {
    for character in text.chars() {
        match character {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            '\n' if breaks_lines => html.push_str("<br>\n"),
            other => html.push(other),
        }
    }
}

/// What stands around a code in a paragraph of its own.
const LARGE: (&str, &str) =
    ("<strong dir=\"ltr\" style=\"font-size: 28px; letter-spacing: 3px; unicode-bidi: isolate\">", "</strong>");
/// What stands around a code in a sentence.
const ISOLATED: (&str, &str) = ("<bdi dir=\"ltr\">", "</bdi>");
/// `&quot;` has six bytes. Two line breaks become `</p>\n<p>`, with four bytes each.
const LONGEST_ESCAPE: usize = 6;
const LONGEST_MARKUP: usize = 128;
const HEAD_AND_FOOT: usize = 256;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn values<'a>(application: &'a str, code: &'a str) -> Values<'a> {
        Values { code, application, purpose: "p", minutes: "3", validity: "v", time: "t", link: "https://a/#otp=1" }
    }

    /// What a browser shows of a text without tags.
    fn unescape(html: &str) -> String {
        [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")]
            .iter()
            .fold(html.to_owned(), |text, (escaped, plain)| text.replace(escaped, plain))
    }

    #[test]
    fn a_text_becomes_paragraphs() {
        let template = Template::new("Hi {application},\nyour code:\n\n{code}\n\n{code} {link}").unwrap();
        let html = from_text(&template, &Language::new("ar").unwrap(), &values("A&B", "<1>"));
        let html = html.expose_secret();
        assert!(html.starts_with("<!DOCTYPE html>\n<html lang=\"ar\" dir=\"rtl\">\n"), "{html}");
        assert!(html.contains("<p>Hi <bdi>A&amp;B</bdi>,<br>\nyour code:</p>\n<p><strong dir=\"ltr\""), "{html}");
        assert!(html.contains(">&lt;1&gt;</strong></p>\n<p><bdi dir=\"ltr\">&lt;1&gt;</bdi> <a dir"), "{html}");
        assert!(html.contains("href=\"https://a/#otp=1\">https://a/#otp=1</a></p>\n</body>\n</html>\n"), "{html}");
    }

    proptest! {
        #[test]
        fn a_value_is_text_in_html(name in "[ -~é]{0,40}", code in "[!-~]{1,10}", literal in "[ -z|~\n<>&\"]{0,40}") {
            let template = Template::new(&format!("{literal}{{code}}")).unwrap();
            let with_name = Template::new("{code}{application}").unwrap();
            let language = Language::new("en").unwrap();
            for template in [&template, &with_name] {
                let values = values(&name, &code);
                let html = from_text(template, &language, &values);
                prop_assert!(html.expose_secret().len() <= bound(template, &values) + HEAD_AND_FOOT);
                let body = html.expose_secret().split_once("<p>").unwrap().1;
                // Without the markup of this file, no tag and no quotation mark is left.
                let markup = [LARGE.0, LARGE.1, ISOLATED.0, ISOLATED.1, "<br>", "</p>", "<p>", "</body>", "</html>", "<bdi>"];
                let text = markup.iter().fold(body.to_owned(), |text, tag| text.replace(tag, ""));
                prop_assert!(!text.contains(['<', '>', '"', '\'']), "{text}");
                prop_assert!(unescape(&text).contains(&code));
            }
            let own = Template::new("<b title=\"{application}\">{code}</b>").unwrap();
            let html = from_html(&own, &values(&name, &code));
            let inner = html.expose_secret().strip_prefix("<b title=\"").unwrap().strip_suffix("</b>").unwrap();
            let (title, shown) = inner.split_once("\">").unwrap();
            prop_assert_eq!((unescape(title), unescape(shown)), (name, code));
        }
    }
}
