//! Tests of whole messages.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use core::time::Duration;

use proptest::prelude::*;

use crate::grant::{CustomUsage, Usage};
use crate::id::ClientId;
use crate::message::*;
use crate::otp::policy::CodePolicy;
use crate::secret::Code;

const TAGS: [&str; 10] = ["ar", "de", "en", "es", "fr", "hi", "ja", "pt-BR", "ru", "zh-Hans"];
const HOST: &str = "login.example.com";
const HASH: &str = "FA+9qCX9VSu";

fn usages() -> [Usage; 5] {
    let own = Usage::Custom(CustomUsage::new("confirm_payment").unwrap());
    [Usage::Login, Usage::Signup, Usage::UpdateUserinfo, Usage::ResetPassword, own]
}

fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

fn language(tag: &str) -> Language {
    Language::new(tag).unwrap()
}

fn application(name: &str) -> Application {
    Application::new(name).unwrap()
}

fn builder() -> KitBuilder {
    MessageKit::builder(application("Example"))
}

fn with_origin() -> KitBuilder {
    builder().origin(OriginHost::new(HOST).unwrap())
}

fn sms(kit: &MessageKit, code: &str, usage: Usage, locale: &str) -> String {
    kit.sms(&Content::from_text(code, usage, minutes(3)).unwrap(), locale).expose_secret().to_owned()
}

/// A code of each length, with leading zeros.
fn codes() -> impl Iterator<Item = (u8, String)> {
    (4..=10).map(|length| (length, "0987654321".chars().take(usize::from(length)).collect()))
}

fn policy(length: u8, validity: Duration) -> CodePolicy {
    CodePolicy::new(length, validity).unwrap()
}

#[test]
fn each_built_in_sms_is_one_segment_for_every_code() {
    for validity in [minutes(1), minutes(3), minutes(10), minutes(60)] {
        for (length, code) in codes() {
            let kit = builder().code_policy(&policy(length, validity)).build();
            let kit = kit.unwrap_or_else(|error| panic!("{length} {validity:?}: {error}"));
            assert_eq!(kit.warnings(), []);
            for (tag, usage) in TAGS.into_iter().flat_map(|tag| usages().map(|usage| (tag, usage))) {
                for seconds in (1..60).chain((60..=validity.as_secs()).step_by(60)) {
                    let content = Content::from_text(&code, usage, Duration::from_secs(seconds)).unwrap();
                    let sms = kit.sms(&content, tag);
                    assert_eq!(sms.language().as_str(), tag);
                    assert_eq!(sms.length().segments(), 1, "{tag} {usage} {seconds}: {}", sms.expose_secret());
                    assert!(sms.expose_secret().starts_with(&format!("{code} ")), "the code comes first");
                }
            }
        }
    }
}

#[test]
fn with_an_origin_each_text_is_one_segment_or_a_warning_names_it() {
    for (length, code) in codes() {
        let kit = with_origin().code_policy(&policy(length, minutes(3))).allow_two_segments().build().unwrap();
        for (tag, usage) in TAGS.into_iter().flat_map(|tag| usages().map(|usage| (tag, usage))) {
            let text = sms(&kit, &code, usage, tag);
            let known = if let Usage::Custom(_) = usage { None } else { Some(usage) };
            let warned = kit.warnings().iter().any(|long| long.language.as_str() == tag && long.usage == known);
            let segments = SmsLength::of(&text).segments();
            assert_eq!(segments, if warned { 2 } else { 1 }, "{tag} {usage}: {text}");
            assert_eq!(text::origin_bound(&text), Some((HOST, code.as_str())), "{tag} {usage}: {text}");
            assert!(text.ends_with(&format!("\n@{HOST} #{code}")), "{text}");
        }
        let warned = |tag: &str| kit.warnings().iter().any(|long| long.language.as_str() == tag);
        for tag in TAGS {
            let fits = match tag {
                "de" | "en" | "es" | "fr" | "pt-BR" | "zh-Hans" => true,
                _ => length <= 7,
            };
            assert_eq!(warned(tag), !fits, "{tag} with codes of {length}: {:?}", kit.warnings());
        }
    }
}

/// A first kit with the host of a usual service builds without more settings.
#[test]
fn a_host_of_20_characters_builds_with_all_languages_by_default() {
    let hosts = ["a.example", HOST, "accounts.example.com"];
    assert_eq!(hosts[2].len(), 20);
    for name in ["Example", "Ёлки & Пироги на Тверской улице", "例"] {
        for host in hosts {
            let kit = MessageKit::builder(application(name)).origin(OriginHost::new(host).unwrap()).build();
            let kit = kit.unwrap_or_else(|error| panic!("{host}: {error}"));
            assert_eq!((kit.languages().count(), kit.warnings()), (10, &[][..]));
            for (tag, usage) in TAGS.into_iter().flat_map(|tag| usages().map(|usage| (tag, usage))) {
                for seconds in 1..=180 {
                    let content = Content::from_text("123456", usage, Duration::from_secs(seconds)).unwrap();
                    let sms = kit.sms(&content, tag);
                    assert_eq!(sms.length().segments(), 1, "{tag} {usage} {seconds}: {}", sms.expose_secret());
                    assert_eq!(text::origin_bound(sms.expose_secret()), Some((host, "123456")));
                }
            }
        }
    }
    let longer = OriginHost::new("accounts1.example.com").unwrap();
    assert!(builder().origin(longer).build().is_err(), "the guide says up to 20 characters");
}

/// No version leaves the warning out, or says only half of it ("do not share").
#[test]
fn each_sms_says_not_to_give_the_code_to_anybody() {
    let anybody = |tag: &str| match tag {
        "ar" => ["لا تشاركه مع أحد", "لا تعطه لأحد"],
        "de" => ["an niemanden weiter", "An niemanden weitergeben"],
        "en" => ["Don't share it with anyone"; 2],
        "es" => ["No la compartas con nadie", "No la des a nadie"],
        "fr" => ["Ne le communiquez à personne", "Ne le donnez à personne"],
        "hi" => ["किसी को न बताएं"; 2],
        "ja" => ["他の人に教えないでください", "他人に教えないでください"],
        "pt-BR" => ["Nunca compartilhe com ninguém"; 2],
        "zh-Hans" => ["请勿告知他人"; 2],
        _ => ["Никому не ", "Никому его не сообщайте"],
    };
    for host in (3..=84).map(|length| "a".repeat(length / 2) + "." + &"b".repeat(length - length / 2 - 1)) {
        let Ok(host) = OriginHost::new(&host) else { panic!("{host}") };
        let kit = builder().origin(host).allow_two_segments().build().unwrap();
        for (tag, usage) in TAGS.into_iter().flat_map(|tag| usages().map(|usage| (tag, usage))) {
            let text = sms(&kit, "123456", usage, tag);
            assert!(anybody(tag).iter().any(|warning| text.contains(warning)), "{text}");
        }
    }
}

#[test]
fn a_text_that_can_be_too_long_is_refused_when_the_kit_is_built() {
    let long_host = || builder().origin(OriginHost::new("accounts1.example.com").unwrap());
    let Err(KitError::TooLong(texts)) = long_host().build() else { panic!("21 characters are too many") };
    let is_long = |tag: &str| ["ar", "hi", "ja", "ru"].contains(&tag);
    assert!(texts.iter().all(|long| is_long(long.language.as_str()) && long.length.units() == 71), "{texts:?}");
    let others = TAGS.into_iter().filter(|tag| !is_long(tag)).map(language);
    assert_eq!(long_host().languages(others).build().unwrap().warnings(), []);

    let own = |text: &str| {
        let template = Template::new(text).unwrap();
        builder().sms_template(language("en"), Some(Usage::Login), template)
    };
    let filled = |used: usize| format!("{{code}} {}", "x".repeat(used - 7));
    assert!(own(&filled(160)).build().is_ok());
    assert!(matches!(own(&filled(161)).build(), Err(KitError::TooLong(long)) if long.len() == 1));
    let kit = own(&filled(306)).allow_two_segments().build().unwrap();
    assert_eq!(kit.warnings().len(), 1);
    assert_eq!(kit.warnings()[0].length.units(), 306);
    assert!(own(&filled(307)).allow_two_segments().build().is_err());
    // Extension characters count two, and one of them can't be split between two segments.
    let extended = |count: usize| format!("{{code}}{}", "€".repeat(count));
    assert!(own(&extended(77)).build().is_ok());
    assert!(own(&extended(78)).build().is_err());
    assert!(own(&extended(149)).allow_two_segments().build().is_ok());
    assert!(own(&extended(150)).allow_two_segments().build().is_err());
    // UCS-2.
    assert!(own(&format!("{{code}}{}", "я".repeat(64))).build().is_ok());
    assert!(own(&format!("{{code}}{}", "я".repeat(65))).build().is_err());
    assert!(own(&format!("{{code}}{}", "я".repeat(128))).allow_two_segments().build().is_ok());
    assert!(own(&format!("{{code}}{}", "я".repeat(129))).allow_two_segments().build().is_err());
}

#[test]
fn a_text_is_measured_with_the_widest_code_the_longest_time_and_each_name() {
    let text = format!("{{code}} {{minutes}} {{application}} {}", "x".repeat(160 - 6 - 1 - 1 - 1 - 7 - 1));
    let own = || builder().sms_template(language("en"), None, Template::new(&text).unwrap());
    assert!(own().build().is_ok());
    assert!(own().code_policy(&policy(6, minutes(3))).build().is_ok());
    for longer in
        [policy(7, minutes(3)), policy(6, minutes(10)), policy(6, minutes(3)).with_alphabet("{123456789").unwrap()]
    {
        assert!(own().code_policy(&longer).build().is_err(), "{longer:?}");
        assert!(own().code_policy(&longer).code_policy(&CodePolicy::for_login()).build().is_err(), "{longer:?}");
    }
    let backtick = policy(6, minutes(3)).with_alphabet("`123456789").unwrap();
    assert!(own().code_policy(&backtick).build().is_err(), "the 7-bit alphabet has no backtick");
    let client = || ClientId::new("other").unwrap();
    assert!(own().client(client(), application("Example")).build().is_ok());
    assert!(own().client(client(), application("Example2")).build().is_err());
    assert!(own().client(client(), application("Приме")).build().is_err(), "a name can make a text UCS-2");
    assert!(builder().client(client(), application("Приме")).build().is_ok(), "the built-in text leaves it out");
}

#[test]
fn the_retriever_reads_140_bytes() {
    let hash = || AppHash::new(HASH).unwrap();
    let kit = builder().app_hash(hash()).build().unwrap();
    for (tag, usage) in TAGS.into_iter().flat_map(|tag| usages().map(|usage| (tag, usage))) {
        let text = sms(&kit, "123456", usage, tag);
        assert!(text.len() <= 140 && text.ends_with(&format!("\n{HASH}")), "{tag} {usage} {}: {text}", text.len());
    }
    let both = || with_origin().app_hash(hash()).languages(["de", "en", "es", "fr", "pt-BR"].map(language));
    let kit = both().build().unwrap();
    for (tag, usage) in ["de", "en", "es", "fr", "pt-BR"].into_iter().flat_map(|tag| usages().map(|usage| (tag, usage)))
    {
        let text = sms(&kit, "123456", usage, tag);
        assert!(text.len() <= 140, "{tag} {usage} {}: {text}", text.len());
        assert!(text.ends_with(&format!("\n{HASH}\n@{HOST} #123456")), "{text}");
    }
    for tag in ["ar", "hi", "ja", "ru", "zh-Hans"] {
        let kit = with_origin().app_hash(hash()).languages([language(tag)]).build();
        assert!(kit.is_err(), "{tag}: the guide says that some texts do not fit with both lines");
    }
    // Bytes of UTF-8 count: 7 for the code and a space, and 12 for the line of the hash.
    for (text, fits) in
        [("x".repeat(121), true), ("x".repeat(122), false), ("é".repeat(60), true), ("é".repeat(61), false)]
    {
        let template = Template::new(&format!("{{code}} {text}")).unwrap();
        let kit = builder().app_hash(hash()).languages([language("en")]).sms_template(language("en"), None, template);
        assert_eq!(kit.build().is_ok(), fits, "{}", text.len());
    }
    // In UTF-8, 140 bytes can be more than 70 characters, and so two segments.
    let kit = with_origin().app_hash(hash()).allow_two_segments().build().unwrap();
    assert!(kit.warnings().iter().all(|long| long.length.encoding() == SmsEncoding::Ucs2));
    for (tag, usage) in TAGS.into_iter().flat_map(|tag| usages().map(|usage| (tag, usage))) {
        let text = sms(&kit, "123456", usage, tag);
        assert!(text.len() <= 140, "{tag} {usage} {}: {text}", text.len());
    }
    let filled = Template::new(&format!("{{code}} {}", "x".repeat(122))).unwrap();
    let kit = builder().app_hash(hash()).languages([language("en")]).sms_template(language("en"), None, filled);
    assert!(kit.allow_two_segments().build().is_err());
}

#[test]
fn no_text_hides_the_last_line() {
    let named = |name: &str| MessageKit::builder(application(name)).origin(OriginHost::new(HOST).unwrap());
    let english = |kit: KitBuilder| kit.languages([language("en")]).build();
    assert!(english(named("x @evil.example #99")).is_err_and(|error| error == KitError::LastLineHidden));
    assert!(english(named("@cosme")).is_ok());
    let own = Template::new("{code}\n@evil.example #{code}").unwrap();
    assert!(english(with_origin().sms_template(language("en"), None, own)).is_err());

    let hash_sign = policy(6, minutes(3)).with_alphabet("#123456789").unwrap();
    assert_eq!(with_origin().code_policy(&hash_sign).build().err(), Some(KitError::HashSignInCode));
    let kit = english(with_origin()).unwrap();
    assert!(!sms(&kit, "12#456", Usage::Login, "en").contains('@'), "a line that browsers misread is left out");
}

#[test]
fn right_to_left_texts_have_no_marks_and_codes_stay_digits() {
    let kit = with_origin().allow_two_segments().build().unwrap();
    for usage in usages() {
        let text = sms(&kit, "012345", usage, "ar-EG");
        assert!(!text.chars().any(|c| c != '\n' && names::is_unreadable(c)), "{text:?}");
        // Each line is a paragraph (UAX 9, P1). The strong characters of the last are Latin, so it runs left to right.
        let (first, last) = text.rsplit_once('\n').unwrap();
        assert!(last.is_ascii());
        // The first strong character of the text is Arabic, so it runs from right to left, and digits keep their order.
        let strong = first.chars().find(|c| c.is_alphabetic()).unwrap();
        assert!(('\u{600}'..'\u{700}').contains(&strong), "{text:?}");
        // A number after a Latin name belongs to its run (UAX 9, W7) unless an Arabic letter is between them.
        let named = sms(&builder().build().unwrap(), "012345", usage, "ar");
        let (_, after) = named.split_once("Example").unwrap();
        let next = after.chars().find(|c| c.is_alphanumeric()).unwrap();
        assert!(('\u{600}'..'\u{700}').contains(&next), "{named:?}");
        let email = Content::from_text("012345", usage, minutes(3)).unwrap();
        let email = kit.email(&email, "ar");
        assert!(email.html().expose_secret().contains("<html lang=\"ar\" dir=\"rtl\">"));
        assert!(email.html().expose_secret().contains("<strong dir=\"ltr\""));
        assert!(email.text().expose_secret().contains("\n\n012345\n\n"), "the code is a paragraph");
    }
}

#[test]
fn a_locale_gives_a_language_that_its_reader_knows() {
    let kit = builder().build().unwrap();
    for (locale, tag) in [
        ("zh-Hans-CN", "zh-Hans"),
        ("ZH_hans_cn", "zh-Hans"),
        ("zh-CN", "zh-Hans"),
        ("zh_SG.UTF-8", "zh-Hans"),
        ("zh", "zh-Hans"),
        ("zh-Hant", "en"),
        ("zh-Hant-CN", "en"),
        ("zh-TW", "en"),
        ("zh-HK", "en"),
        ("zh-yue", "en"),
        ("pt", "pt-BR"),
        ("pt-PT", "pt-BR"),
        ("PT_br", "pt-BR"),
        ("ar-EG", "ar"),
        ("es-419", "es"),
        ("de-CH-1996", "de"),
        ("en-US-u-nu-latn", "en"),
        ("it", "en"),
        ("", "en"),
        ("e", "en"),
        ("dead", "en"),
        ("\r\n", "en"),
    ] {
        let content = Content::from_text("123456", Usage::Login, minutes(3)).unwrap();
        assert_eq!(kit.sms(&content, locale).language().as_str(), tag, "{locale:?}");
        assert_eq!(kit.email(&content, locale).language().as_str(), tag, "{locale:?}");
    }
    let content = Content::from_text("123456", Usage::Login, minutes(3)).unwrap();
    let kit = builder().fallback(language("pt")).build().unwrap();
    assert_eq!(kit.sms(&content, "it").language().as_str(), "pt-BR");
    let kit = builder().languages(["fr", "de"].map(language)).build().unwrap();
    assert_eq!(kit.sms(&content, "en").language().as_str(), "fr");
    assert_eq!(kit.languages().count(), 2);
    assert_eq!(builder().languages([language("it")]).build().err(), Some(KitError::NoTexts(language("it"))));
    assert_eq!(builder().languages([]).build().err(), Some(KitError::NoFallback));
    assert_eq!(builder().fallback(language("it")).build().err(), Some(KitError::NoFallback));
}

#[test]
fn a_host_brings_its_own_texts() {
    let payment = Usage::Custom(CustomUsage::new("confirm_payment").unwrap());
    let template = |text: &str| Template::new(text).unwrap();
    let purpose = |phrase: &str| Purpose::new(phrase).unwrap();
    let email = EmailTemplate::new(template("{code} per {application}"), template("{code}\n\n{minutes} min"));
    let kit = builder()
        .sms_template(language("it"), None, template("{code} {purpose}, {minutes} min"))
        .sms_template(language("it"), Some(Usage::Login), template("{code} per {application}"))
        .email_template(language("it"), Some(Usage::Login), email.unwrap())
        .sms_template(language("de-AT"), Some(Usage::Signup), template("{code}, Servus!"))
        .purpose(language("en"), payment, purpose("to pay 5 €"))
        .purpose(language("it"), Usage::Signup, purpose("a"))
        .purpose(language("it"), Usage::UpdateUserinfo, purpose("b"))
        .purpose(language("it"), Usage::ResetPassword, purpose("c"));
    let error = kit.build().err();
    assert_eq!(error, Some(KitError::NoPurpose(language("it"), Some(payment))), "each known usage needs a phrase");

    let kit = builder()
        .sms_template(language("it"), Some(Usage::Login), template("{code} per {application}, {minutes} min"))
        .sms_template(language("de-AT"), Some(Usage::Signup), template("{code}, Servus!"))
        .purpose(language("en"), payment, purpose("to confirm your payment"))
        .build()
        .unwrap();
    assert_eq!(sms(&kit, "123456", Usage::Login, "it-CH"), "123456 per Example, 3 min");
    assert!(sms(&kit, "123456", Usage::Signup, "it").contains("to sign up"), "without a text, English");
    assert_eq!(sms(&kit, "123456", Usage::Signup, "de-AT"), "123456, Servus!");
    assert!(sms(&kit, "123456", Usage::Login, "de-AT").contains("für die Anmeldung"));
    assert!(sms(&kit, "123456", payment, "en").contains("code to confirm your payment."));
    assert!(sms(&kit, "123456", payment, "de").contains("Ihrer Anfrage"));
    let content = Content::from_text("123456", payment, minutes(3)).unwrap();
    assert!(kit.email(&content, "en").text().expose_secret().contains("code to confirm your payment:"));

    // The shortest version of some languages has a phrase of its own, which must not replace the phrase of the host.
    let long = OriginHost::new("accounts.example.com").unwrap();
    let kit = || builder().origin(long.clone()).languages([language("ru")]).fallback(language("ru"));
    assert!(sms(&kit().build().unwrap(), "123456", payment, "ru").starts_with("123456 подтверждение\n"));
    let kit = |phrase: &str| kit().purpose(language("ru"), payment, purpose(phrase)).build();
    assert!(sms(&kit("оплаты").unwrap(), "123456", payment, "ru").starts_with("123456 код оплаты"));
    assert!(matches!(kit("подтверждения платежа"), Err(KitError::TooLong(long)) if long.len() == 1));

    let link = template("{code} {link}");
    let own = builder().sms_template(language("en"), None, link.clone()).build();
    assert_eq!(own.err(), Some(KitError::LinkInSms(language("en"))));
    let email = || EmailTemplate::new(template("{code}"), link.clone()).unwrap();
    let own = builder().email_template(language("en"), Some(Usage::Login), email()).build();
    assert_eq!(own.err(), Some(KitError::NoLink(language("en"), Some(Usage::Login))));
    let page = Link::new("https://app.example/login").unwrap();
    let kit = builder().email_template(language("en"), Some(Usage::Login), email()).link(Usage::Login, page);
    let content = Content::from_text("123456", Usage::Login, minutes(3)).unwrap();
    let email = kit.build().unwrap().email(&content, "en");
    assert_eq!(email.text().expose_secret(), "123456 https://app.example/login#otp=123456");
}

#[test]
fn a_client_has_a_name_of_its_own() {
    let [shop, other] = ["shop", "other"].map(|id| ClientId::new(id).unwrap());
    let kit = builder().client(shop.clone(), application("Shop & Söhne")).build().unwrap();
    let code = Code::new("123456".into());
    let content = |client| Content::new(&code, Usage::Login, minutes(3)).for_client(client);
    assert!(kit.sms(&content(&shop), "en").expose_secret().contains("your Shop & Söhne code"));
    assert!(kit.sms(&content(&other), "en").expose_secret().contains("your Example code"));
    let email = kit.email(&content(&shop), "de");
    assert_eq!(email.subject().expose_secret(), "123456 ist Ihr Bestätigungscode für Shop & Söhne");
    assert!(email.html().expose_secret().contains("<bdi>Shop &amp; Söhne</bdi>"));
}

#[test]
fn an_email_has_the_code_first_and_loads_nothing() {
    let page = Link::new("https://app.example/login?x=1").unwrap();
    let kit = builder().link(Usage::Login, page).build().unwrap();
    for (tag, usage) in TAGS.into_iter().flat_map(|tag| usages().map(|usage| (tag, usage))) {
        for (_, code) in codes() {
            let content = Content::from_text(&code, usage, minutes(3)).unwrap();
            let email = kit.email(&content, tag);
            let [subject, text, html] = [email.subject(), email.text(), email.html()].map(MessageText::expose_secret);
            assert!(subject.starts_with(&format!("{code} ")) && !subject.contains('\n'), "{subject}");
            assert!(subject.contains("Example") && text.contains("Example"));
            assert_eq!(email.headers(), [("Auto-Submitted", "auto-generated"), ("Content-Language", tag)]);
            let link = format!("https://app.example/login?x=1#otp={code}");
            assert_eq!(text.contains(&link), usage == Usage::Login);
            assert_eq!(html.contains(&format!("href=\"{link}\"")), usage == Usage::Login);
            let without_link = html.replace(&link, "");
            for loads in ["src", "url(", "http", "<img", "<link", "<script", "@import", "background"] {
                assert!(!without_link.contains(loads), "{html}");
            }
            assert!(html.contains(&format!("<html lang=\"{tag}\"")) && html.contains(&format!(">{code}</strong>")));
        }
    }
    let content = Content::from_text("a&#/=?%", Usage::Login, minutes(3)).unwrap();
    assert!(kit.email(&content, "en").text().expose_secret().contains("#otp=a%26%23%2F%3D%3F%25\n"));
    for code in ["", "12é4", "12 34", "12\n34", "12\r\nBcc: x"] {
        assert!(Content::from_text(code, Usage::Login, minutes(3)).is_err(), "{code:?}");
    }
}

#[test]
fn a_message_says_how_long_the_code_is_good() {
    let kit = builder().build().unwrap();
    let code = Code::new("123456".into());
    let content = || Content::new(&code, Usage::Login, minutes(3));
    assert!(kit.email(&content(), "ru").text().expose_secret().contains("действует 3 минуты."));
    assert!(kit.email(&content().with_validity(minutes(1)), "ru").text().expose_secret().contains("1 минуту."));
    assert!(kit.sms(&content().with_validity(Duration::from_secs(42)), "en").expose_secret().contains("in 42 s."));
}

#[test]
fn a_message_is_not_printed() {
    let kit = builder().build().unwrap();
    let content = Content::from_text("836271", Usage::Login, minutes(3)).unwrap();
    let shown =
        format!("{:?} {:?} {:?} {kit:?} {:?}", content, kit.sms(&content, "en"), kit.email(&content, "en"), builder());
    assert!(!shown.contains("836271"), "{shown}");
}

proptest! {
    #[test]
    fn any_locale_gives_a_message(locale in any::<String>(), code in "[!-~]{1,12}", seconds in 0..100_000_u64) {
        let kit = with_origin().allow_two_segments().build().unwrap();
        let content = Content::from_text(&code, Usage::Login, Duration::from_secs(seconds)).unwrap();
        prop_assert!(kit.sms(&content, &locale).expose_secret().starts_with(&code));
        prop_assert!(kit.email(&content, &locale).subject().expose_secret().starts_with(&code));
    }

    #[test]
    fn a_kit_that_was_built_keeps_to_its_length(
        name in "[ -~éя€]{1,20}",
        text in "[ -z|~éя€\n]{0,120}",
        digits in "[0-9]{10}",
        seconds in 1..600_u64,
        two in any::<bool>(),
        with_hash in any::<bool>(),
        length in 4..=10_u8,
    ) {
        let template = Template::new(&format!("{text}{{code}} {{minutes}} {{application}}"));
        let (Ok(name), Ok(template)) = (Application::new(&name), template) else { return Ok(()) };
        let kit = MessageKit::builder(name).origin(OriginHost::new("a.example").unwrap());
        let kit = kit.languages([language("en")]).sms_template(language("en"), None, template);
        let kit = kit.code_policy(&policy(length, minutes(10)));
        let kit = if two { kit.allow_two_segments() } else { kit };
        let kit = if with_hash { kit.app_hash(AppHash::new(HASH).unwrap()) } else { kit };
        let Ok(kit) = kit.build() else { return Ok(()) };
        for shorter in 4..=usize::from(length) {
            let code = digits.get(..shorter).unwrap();
            let sms = kit.sms(&Content::from_text(code, Usage::Login, Duration::from_secs(seconds)).unwrap(), "en");
            let most = if kit.warnings().is_empty() { 1 } else { 2 };
            prop_assert!(sms.length().segments() <= most);
            prop_assert!(!with_hash || sms.expose_secret().len() <= 140);
            prop_assert_eq!(text::origin_bound(sms.expose_secret()), Some(("a.example", code)));
        }
    }
}

#[test]
fn a_name_has_something_to_read() {
    for name in ["", "\u{200b}", "\u{2060}\u{ad}", "\u{e0041}", "…", "--"] {
        assert!(Application::new(name).is_err(), "{name:?}");
    }
    for name in ["Example", "7", "例", "مثال", "★ Example"] {
        assert!(Application::new(name).is_ok(), "{name:?}");
    }
}
