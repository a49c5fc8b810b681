//! What is one address, and what is none.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::as_conversions)]

use proptest::prelude::*;

use super::*;
use crate::address::email::{ascii_domain, normalise_domain};
use crate::address::phone_number::MIN_DIGITS;

fn phone(text: &str) -> Option<String> {
    AddressPolicy::default().phone_number(text).ok().map(|number| number.as_str().to_owned())
}

fn email(text: &str) -> Option<String> {
    AddressPolicy::default().email(text).ok().map(|email| email.as_str().to_owned())
}

/// The numbering plan of the documentation's example.
fn british(number: &str) -> Option<String> {
    if number.starts_with('+') {
        return Some(number.to_owned());
    }
    let national = number.strip_prefix('0').filter(|rest| !rest.starts_with('0'))?;
    Some(format!("+4 4{national}"))
}

fn policies() -> Vec<AddressPolicy> {
    vec![
        AddressPolicy::default(),
        AddressPolicy::default().with_country_code("86").unwrap(),
        AddressPolicy::default().with_numbering_plan(british),
        #[cfg(feature = "idn")]
        AddressPolicy::default().with_international_local_parts(),
    ]
}

#[test]
fn phone_numbers_lose_their_separators() {
    for (text, number) in [
        ("13612345678", "13612345678"),
        ("+86 136-1234-5678", "+8613612345678"),
        ("(+1) 202.555.0123", "+12025550123"),
        ("1234567", "1234567"),
        ("123456789012345", "123456789012345"),
    ] {
        assert_eq!(phone(text).as_deref(), Some(number));
    }
}

#[test]
fn what_is_no_phone_number_is_refused() {
    let many = " ".repeat(1 << 20);
    for text in [
        "",
        "+",
        "123456",
        "+123456",
        "1234567890123456",
        "１３６１２３４５６７８",
        "1361234\u{0}5678",
        "136+12345678",
        "++8613612345678",
        "86+13612345678",
        "1361234567a",
        "136\u{a0}12345678",
        "136\t12345678",
        "13612345678\n",
        "١٣٦١٢٣٤٥٦٧٨",
        "136–1234–5678",
        &many,
    ] {
        assert_eq!(phone(text), None, "{text:?}");
    }
}

#[test]
fn a_country_code_makes_two_spellings_one_number() {
    let policy = AddressPolicy::default().with_country_code("86").unwrap();
    let national = policy.phone_number("136 1234 5678").unwrap();
    assert_eq!(national, policy.phone_number("+8613612345678").unwrap());
    assert_eq!(national.as_str(), "+8613612345678");
    assert_ne!(policy.phone_number("+813612345678").unwrap(), national);
    // With the country code, the number is too long.
    assert!(policy.phone_number("12345678901234").is_err());
    for code in ["", "0", "086", "+86", "8612", "８６", "8 "] {
        assert!(AddressPolicy::default().with_country_code(code).is_err(), "{code:?}");
    }
}

#[test]
fn a_country_code_refuses_what_it_would_make_another_telephone_of() {
    for (code, numbers) in [
        ("86", ["013612345678", "008613612345678", "8613612345678", "86 755 8888 888"]),
        ("44", ["07400 123456", "0044 7400 123456", "447400123456", "44 (0)7400 123456"]),
        ("1", ["1 (202) 555-0123", "12025550123", "011 86 136 1234 567", "0012025550123"]),
        ("39", ["06 698 12345", "39 06 698 12345", "0039 312 345 6789", "39 312 345 6789"]),
    ] {
        let policy = AddressPolicy::default().with_country_code(code).unwrap();
        for number in numbers {
            assert!(policy.phone_number(number).is_err(), "{code}: {number}");
        }
    }
    // Numbers of this country that begin with the digits of its code are too short to have lost a plus.
    let danish = AddressPolicy::default().with_country_code("45").unwrap();
    assert_eq!(danish.phone_number("45 12 34 56").unwrap().as_str(), "+4545123456");
    assert!(danish.phone_number("45 45 12 34 56").is_err());
}

#[test]
fn a_zero_that_callers_leave_out_is_refused() {
    for policy in policies() {
        for number in [
            "+0000000",
            "+008613612345678",
            "+0086 136 1234 5678",
            "+86 (0)136 1234 5678",
            "+44 0 7911 123456",
            "+44 (0)7911 123456",
            "+49 (0) 1512 3456789",
            "+98 0912 345 6789",
            "+972 (0)50 123 4567",
            "+7 (0)912 345 67 89",
            "+1 (0) 202 555 0123",
            "+1 1 202 555 0123",
            "+1 (202) 555 0123 0000",
        ] {
            assert!(policy.phone_number(number).is_err(), "{number}");
        }
        for (number, normalised) in [
            ("+39 (0)6 6982 1234", "+390669821234"),
            ("+39 06 6982 1234", "+390669821234"),
            ("+39 312 345 6789", "+393123456789"),
            ("+225 01 23 45 67 89", "+2250123456789"),
            ("+242 06 123 4567", "+242061234567"),
            ("+44 7911 123456", "+447911123456"),
            ("+971 50 123 4567", "+971501234567"),
            ("+7 912 345 67 89", "+79123456789"),
            ("+1 202 555 0100", "+12025550100"),
        ] {
            assert_eq!(policy.phone_number(number).unwrap().as_str(), normalised);
        }
    }
}

#[test]
fn a_numbering_plan_sees_every_number() {
    let policy = AddressPolicy::default().with_numbering_plan(|number| match number {
        "+4407911123456" | "07911123456" | "+447911123456" => Some("+44 7911 123456".to_owned()),
        _ => None,
    });
    for number in ["+44 (0)7911 123456", "07911 123456", "+44 7911 123456"] {
        assert_eq!(policy.phone_number(number).unwrap().as_str(), "+447911123456");
    }
    assert!(policy.phone_number("+8613612345678").is_err());
}

#[test]
fn a_result_of_the_numbering_plan_is_checked_as_any_other() {
    for result in ["", "13612345678", "+86 136\0", "+12", "++8613612345678", "nonsense", "+86 (0)136 1234 5678"] {
        let policy = AddressPolicy::default().with_numbering_plan(move |_| Some(result.to_owned()));
        assert!(policy.phone_number("13612345678").is_err(), "{result:?}");
    }
    let constant = AddressPolicy::default().with_numbering_plan(|_| Some("+8613612345678".to_owned()));
    assert!(constant.phone_number("13612345678").is_ok());
    // Each reading gives another number.
    let moving = AddressPolicy::default().with_numbering_plan(|number| {
        let next: u64 = number.trim_start_matches('+').parse::<u64>().ok()? + 1;
        Some(format!("+{next}"))
    });
    assert!(moving.phone_number("+8613612345678").is_err());
}

fn budget(policy: &AddressPolicy, text: &str) -> Option<String> {
    let address = match text.contains('@') {
        true => Address::Email(policy.email(text).ok()?),
        false => Address::Phone(policy.phone_number(text).ok()?),
    };
    Some(policy.budget_of(&address))
}

#[test]
fn one_telephone_has_one_budget_in_every_spelling_that_is_accepted() {
    let with_code = |code| AddressPolicy::default().with_country_code(code).unwrap();
    let plan = AddressPolicy::default().with_numbering_plan(british);
    let chinese = [
        "13612345678",
        "+8613612345678",
        "8613612345678",
        "008613612345678",
        "+86 (0)136 1234 5678",
        "+0086 136 1234 5678",
        "013612345678",
    ];
    let british = ["07911 123456", "+447911123456", "+44 (0)7911 123456", "+0044 7911 123456", "0044 7911 123456"];
    let american = ["(202) 555-0123", "+1 202 555 0123", "1-202-555-0123", "001 202 555 0123", "011 1 202 555 0123"];
    let danish = ["12 34 56 78", "+45 12 34 56 78", "4512345678", "0045 12345678", "+45 (0)12345678"];
    let everything: [(AddressPolicy, &[&str], &str); 8] = [
        (AddressPolicy::default(), &chinese, "12345678"),
        (AddressPolicy::default(), &british, "11123456"),
        (AddressPolicy::default(), &american, "25550123"),
        (AddressPolicy::default(), &danish, "12345678"),
        (with_code("86"), &chinese, "+8613612345678"),
        (with_code("44"), &british, "+447911123456"),
        (with_code("1"), &american, "+12025550123"),
        (plan, &british, "+447911123456"),
    ];
    for (policy, spellings, expected) in everything {
        let budgets: std::collections::BTreeSet<_> =
            spellings.iter().filter_map(|text| budget(&policy, text)).collect();
        assert_eq!(budgets.into_iter().collect::<Vec<_>>(), [expected], "{policy:?} {spellings:?}");
    }
}

#[test]
fn sub_addresses_share_a_budget_and_dots_do_not() {
    let policy = AddressPolicy::default();
    for (text, expected) in [
        ("user@example.com", "user@example.com"),
        ("USER+news@Example.com", "user@example.com"),
        ("user+@example.com", "user@example.com"),
        ("user+a+b@example.com", "user@example.com"),
        ("first.last+x@books.example", "first.last@books.example"),
        ("firstlast@example.com", "firstlast@example.com"),
        ("user-news@example.com", "user-news@example.com"),
        // Nothing stands before the sub-address.
        ("+news@example.com", "+news@example.com"),
    ] {
        assert_eq!(budget(&policy, text).as_deref(), Some(expected));
    }
}

#[test]
fn the_host_says_which_addresses_share_a_budget() {
    let policy = AddressPolicy::default().with_budgets(|address| address.as_str().replace('.', ""));
    assert_eq!(budget(&policy, "a.b+c@example.com").as_deref(), Some("ab+c@examplecom"));
    assert_eq!(budget(&policy, "13612345678").as_deref(), Some("13612345678"));
    assert_eq!(format!("{:?}", policy.budgets), "Host(..)");
}

#[test]
fn emails_are_normalised() {
    for (text, address) in [
        ("MOCK_USERNAME@example.com", "mock_username@example.com"),
        ("first.last+tag@Sub.Example.COM", "first.last+tag@sub.example.com"),
        ("o'brien@example.com", "o'brien@example.com"),
        ("bounce=a=b.c?d@example.com", "bounce=a=b.c?d@example.com"),
        ("a-b@example.com", "a-b@example.com"),
        ("a@b--c.a-b.4c.example", "a@b--c.a-b.4c.example"),
    ] {
        assert_eq!(email(text).as_deref(), Some(address), "{text}");
    }
}

#[cfg(not(feature = "idn"))]
#[test]
fn without_idn_an_international_domain_is_refused_as_a_malformed_one() {
    for text in ["a@bücher.example", "a@xn--bcher-kva.example", "a@XN--bcher-kva.example", "a@ｅｘａｍｐｌｅ.com"]
    {
        assert_eq!(AddressPolicy::default().email(text), Err(MalformedEmail(())), "{text}");
    }
}

#[cfg(feature = "idn")]
#[test]
fn international_domains_become_a_labels() {
    let international = budget(&AddressPolicy::default(), "first.last+x@bücher.example");
    assert_eq!(international.as_deref(), Some("first.last@xn--bcher-kva.example"));
    for (text, address) in [
        ("first.last+x@bücher.example", "first.last+x@xn--bcher-kva.example"),
        ("a@bücher.example", "a@xn--bcher-kva.example"),
        ("a@BÜCHER.example", "a@xn--bcher-kva.example"),
        ("a@XN--BCHER-KVA.example", "a@xn--bcher-kva.example"),
        ("a@faß.example", "a@xn--fa-hia.example"),
        ("a@例え。テスト", "a@xn--r8jz45g.xn--zckzah"),
        // UTS 46 maps both to ASCII. The value is then the ASCII domain, and the message goes there.
        ("a@\u{212a}elvin.example", "a@kelvin.example"),
        ("a@ｅｘａｍｐｌｅ.com", "a@example.com"),
    ] {
        assert_eq!(email(text).as_deref(), Some(address), "{text}");
    }
}

/// Records are kept by what a domain is mapped to. Were it another one, what belongs to the address would be lost with
/// the version that changed it.
#[cfg(feature = "idn")]
#[test]
fn domains_are_mapped_to_the_same_from_version_to_version() {
    for (domain, mapped) in [
        ("example.com", "example.com"),
        ("EXAMPLE.com", "example.com"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("Bu\u{308}cher.example", "xn--bcher-kva.example"),
        // The deviations of UTS 46: IDNA 2003 mapped these to ss, σ and nothing.
        ("faß.example", "xn--fa-hia.example"),
        ("FAẞ.example", "xn--fa-hia.example"),
        ("βόλος.example", "xn--nxasmm1c.example"),
        ("βόλοσ.example", "xn--nxasmq6b.example"),
        ("نامه\u{200c}ای.example", "xn--mgba3gch31f060k.example"),
        ("क्\u{200d}ष.example", "xn--11b2ezcw70k.example"),
        ("例え。テスト", "xn--r8jz45g.xn--zckzah"),
        ("例え．テスト", "xn--r8jz45g.xn--zckzah"),
        ("ﾃｽﾄ.example", "xn--zckzah.example"),
        ("ｅｘａｍｐｌｅ.com", "example.com"),
        ("①②.example", "12.example"),
        ("ﬁ.example", "fi.example"),
        ("\u{212a}elvin.example", "kelvin.example"),
        ("İstanbul.example", "xn--istanbul-o0e.example"),
        ("привет.рф", "xn--b1agh1afp.xn--p1ai"),
        ("مثال.إختبار", "xn--mgbh0fb.xn--kgbechtv"),
        ("דוגמה.טעסט", "xn--6dbbec0c.xn--deba0ad"),
        ("☕.example", "xn--53h.example"),
        ("ab\u{ad}cd.example", "abcd.example"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
    ] {
        let address = email(&format!("user@{domain}"));
        assert_eq!(address.as_deref(), Some(&*format!("user@{mapped}")), "{domain}");
    }
}

#[test]
fn what_is_no_email_is_refused() {
    let long_local = format!("{}@example.com", "a".repeat(65));
    let long_label = format!("a@{}.com", "a".repeat(64));
    let long = format!("a@{}example.com", "aaaaaaaaa.".repeat(25));
    let huge = format!("a@{}.com", "ü".repeat(1 << 20));
    for text in [
        "",
        "@",
        "a",
        "a@",
        "@example.com",
        "a@b",
        "a@localhost",
        "a@b@example.com",
        "a@example.com.",
        "a@.com",
        "a@example..com",
        ".a@example.com",
        "a.@example.com",
        "a..b@example.com",
        " a@example.com",
        "a@example.com ",
        "a@example.com\n",
        "a b@example.com",
        "a@exa mple.com",
        "\"a\"@example.com",
        "\"a@b\"@example.com",
        "a(comment)@example.com",
        "(c)a@example.com",
        "a@example.com(c)",
        "A <a@example.com>",
        "<a@example.com>",
        "a@[127.0.0.1]",
        "a@[IPv6:::1]",
        "a@192.0.2.1",
        "a@-example.com",
        "a@example-.com",
        "a@exa_mple.com",
        "a\0@example.com",
        "a@example\0.com",
        "a,b@example.com",
        "a@example.com,b@example.com",
        "a\r\n@example.com",
        "\u{212a}ate@example.com",
        "m\u{131}ke@example.com",
        "é@example.com",
        "ａ@example.com",
        "a@xn--a.example",
        "a\u{7f}@example.com",
        "a\\@example.com",
        "a@example.com\u{3000}",
        // Mail libraries decode an encoded-word, and send the message to what it says.
        "=?utf-8?q?mallory=40evil.example=3e=00?=x@corp.example",
        "=?UTF-8?Q?mallory=40evil.example=3e=00?=@corp.example",
        "x=?iso-8859-1?B?bWFsbG9yeUBldmlsLmV4YW1wbGU+AA==?=@corp.example",
        "=?utf-8*en?b?bQ==?=@corp.example",
        "a.=?us-ascii?q?m?=.=?us-ascii?q?n?=@corp.example",
        "=??q??=@corp.example",
        "=?utf-8?q?m@corp.example",
        "m?=@corp.example",
        // Old mail systems route these on.
        "mallory%evil.example@corp.example",
        "evil.example!mallory@corp.example",
        // An option of the program that delivers.
        "-oQ/tmp@example.com",
        "-@example.com",
        &long_local,
        &long_label,
        &long,
        &huge,
    ] {
        assert_eq!(email(text), None, "{text:?}");
    }
}

#[cfg(feature = "idn")]
#[test]
fn international_local_parts_are_a_choice() {
    let policy = AddressPolicy::default().with_international_local_parts();
    assert_eq!(policy.email("josé.ñ@EXAMPLE.com").unwrap().as_str(), "josé.ñ@example.com");
    assert_eq!(policy.email("用户@例え.テスト").unwrap().as_str(), "用户@xn--r8jz45g.xn--zckzah");
    for local in [
        "\u{212a}ate",
        "m\u{131}ke",
        "\u{130}",
        "\u{17f}am",
        "ma\u{df}",
        "ﬀ",
        "É",
        "e\u{301}",
        "ａ",
        "a\u{200b}b",
        "a\u{a0}b",
        "é\u{202e}",
        "é..e",
        "\"é\"",
        "é\0",
    ] {
        assert!(policy.email(&format!("{local}@example.com")).is_err(), "{local:?}");
    }
}

#[test]
fn debug_is_redacted() {
    let policy = AddressPolicy::default();
    let phone = Address::Phone(policy.phone_number("13612345678").unwrap());
    let email = Address::Email(policy.email("a@example.com").unwrap());
    assert_eq!(format!("{phone:?} {email:?}"), "Phone(PhoneNumber(..)) Email(EmailAddress(..))");
    assert_eq!(format!("{:?}", policies()[2].numbers), "Plan(..)");
    assert_eq!(serde_json::to_string(&phone.channel()).unwrap(), "\"sms\"");
}

proptest! {
    #[cfg(feature = "idn")]
    #[test]
    fn a_domain_of_ascii_is_the_same_with_and_without_idn(
        text in "[a-zA-Z0-9.-]{0,20}|([a-zA-Z0-9-]{0,64}[.]){0,5}[a-z]{1,3}",
    ) {
        let international = text.to_ascii_lowercase().split('.').any(|label| label.starts_with("xn--"));
        let expected = normalise_domain(&text).filter(|_| !international);
        prop_assert_eq!(ascii_domain(&text), expected);
    }

    #[test]
    fn a_normalised_phone_number_stays_as_it_is(text in "[+]?[0-9 ().-]{5,20}|\\PC*") {
        for policy in policies() {
            if let Ok(number) = policy.phone_number(&text) {
                prop_assert_eq!(&policy.phone_number(number.as_str()).unwrap(), &number);
                prop_assert!(policy.budget_of(&Address::Phone(number)).len() >= MIN_DIGITS);
            }
        }
    }

    #[test]
    fn a_normalised_email_stays_as_it_is(
        text in "[a-zA-Z0-9+é用]{1,8}@(\\w{1,6}[-.。]){1,3}\\w{1,6}|[a-z]@\\PC{1,4}[.][a-zäßあ]{2}|\\PC*@?\\PC*",
    ) {
        for policy in policies() {
            if let Ok(email) = policy.email(&text) {
                prop_assert_eq!(&policy.email(email.as_str()).unwrap(), &email);
                prop_assert!(!email.as_str().bytes().any(|byte| byte.is_ascii_uppercase()));
                // The budget of an address is itself one of that budget.
                let budget = policy.budget_of(&Address::Email(email));
                prop_assert_eq!(policy.budget_of(&Address::Email(policy.email(&budget).unwrap())), budget);
            }
        }
    }
}
