//! Phone numbers as users of a region write them, read with the numbering plans of libphonenumber.

use otp_grant::AddressPolicy;
use rlibphonenumber::{NumberLengthType, PHONE_NUMBER_UTIL, PhoneNumberFormat, PhoneNumberType, Region};

/// The numbering plan of a region.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NumberingPlan(Region);

impl NumberingPlan {
    /// Finds the plan of a region by its two capital letters (ISO 3166-1), such as `GB`.
    pub(crate) fn of(region: &str) -> Option<Self> {
        let is_code = region.len() == 2 && region.bytes().all(|byte| byte.is_ascii_uppercase());
        let region = region.parse().ok().filter(|_| is_code)?;
        PHONE_NUMBER_UTIL.get_country_code_for_region(region).map(|_| Self(region))
    }

    /// Reads numbers by this plan.
    ///
    /// Only this function knows how the authorization server calls the plan.
    pub(crate) fn into_policy(self, policy: AddressPolicy) -> AddressPolicy {
        policy.with_numbering_plan(move |number| self.international(number))
    }

    /// The E.164 form of a number, written as in this region or, with `+`, as in any region.
    ///
    /// Digits that could be read in two ways are one number here: a trunk prefix is dropped only where the plan has
    /// one. A number that no plan has is refused. Plans grow, so a number with `+` is accepted where its length is
    /// right and it needs no rewriting.
    pub(crate) fn international(self, text: &str) -> Option<String> {
        let number = PHONE_NUMBER_UTIL.parse(text, Some(self.0)).ok()?;
        if number.extension.is_some() {
            return None;
        }
        let written = PHONE_NUMBER_UTIL.format(&number, PhoneNumberFormat::E164).into_owned();
        let exists = PHONE_NUMBER_UTIL.is_valid_number(&number);
        let possible =
            || matches!(PHONE_NUMBER_UTIL.is_possible_number_with_reason(&number), Ok(NumberLengthType::IsPossible));
        (exists || (written == text && possible())).then_some(written)
    }

    /// A mobile number as users of the region write it, for a hint.
    pub(crate) fn example(self) -> Option<String> {
        let number = PHONE_NUMBER_UTIL.get_example_number_for_type_and_region(self.0, PhoneNumberType::Mobile).ok()?;
        Some(PHONE_NUMBER_UTIL.format(&number, PhoneNumberFormat::National).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every region that the library knows, with an example of each of these types.
    fn examples() -> Vec<(NumberingPlan, String, String, String)> {
        let types = [PhoneNumberType::Mobile, PhoneNumberType::FixedLine];
        let of = |region, kind| PHONE_NUMBER_UTIL.get_example_number_for_type_and_region(region, kind).ok();
        let format = |number: &_, format| PHONE_NUMBER_UTIL.format(number, format).into_owned();
        PHONE_NUMBER_UTIL
            .get_supported_regions()
            .flat_map(|region| types.iter().filter_map(move |kind| Some((region, of(region, *kind)?))))
            .map(|(region, number)| {
                let plan = NumberingPlan::of(&region.to_string()).unwrap();
                let national = format(&number, PhoneNumberFormat::National);
                let international = format(&number, PhoneNumberFormat::International);
                (plan, national, international, format(&number, PhoneNumberFormat::E164))
            })
            .collect()
    }

    #[test]
    fn a_number_in_national_format_becomes_its_international_form_in_every_region() {
        let examples = examples();
        assert!(examples.len() > 400, "{}", examples.len());
        for (plan, national, international, e164) in examples {
            let policy = plan.into_policy(AddressPolicy::default());
            for text in [&national, &international, &e164] {
                let read = policy.phone_number(text).unwrap_or_else(|_| panic!("{plan:?} {text}"));
                assert_eq!(read.as_str(), e164, "{plan:?} {text}");
            }
            // A number that was read is read unchanged, and its spelling with `+` needs no region.
            assert_eq!(plan.international(&e164).as_deref(), Some(e164.as_str()), "{plan:?}");
        }
    }

    #[test]
    fn national_spelling_gives_the_right_number_or_is_refused() {
        for (region, text, read) in [
            ("GB", "07400 123456", Some("+447400123456")),
            ("GB", "7400 123456", Some("+447400123456")),
            ("GB", "0044 7400 123456", Some("+447400123456")),
            ("GB", "07400 12345", None),
            ("GB", "007400 123456", None),
            ("GB", "0123", None),
            ("FR", "06 12 34 56 78", Some("+33612345678")),
            ("DE", "0151 23456789", Some("+4915123456789")),
            ("IT", "312 345 6789", Some("+393123456789")),
            ("IT", "06 1234 5678", Some("+390612345678")),
            ("CN", "136 1234 5678", Some("+8613612345678")),
            ("CN", "0136 1234 5678", Some("+8613612345678")),
            ("CN", "86 136 1234 5678", Some("+8613612345678")),
            ("CN", "136 1234 567", None),
            ("RU", "8 (912) 345-67-89", Some("+79123456789")),
            ("HU", "06 20 123 4567", Some("+36201234567")),
            ("US", "(201) 555-0123", Some("+12015550123")),
            ("US", "1 201 555 0123", Some("+12015550123")),
            ("US", "201 555 012", None),
            ("AR", "011 15-2345-6789", Some("+5491123456789")),
            ("BR", "(11) 96123-4567", Some("+5511961234567")),
            ("AU", "0412 345 678", Some("+61412345678")),
            ("RW", "0720 123 456", Some("+250720123456")),
            ("ES", "612 34 56 78", Some("+34612345678")),
            ("SM", "66 66 12 12", Some("+37866661212")),
        ] {
            let policy = NumberingPlan::of(region).unwrap().into_policy(AddressPolicy::default());
            let number = policy.phone_number(text).ok();
            assert_eq!(number.as_ref().map(otp_grant::address::PhoneNumber::as_str), read, "{region} {text}");
        }
    }

    /// A number with `+` that passes the authorization server's check is the same number in each spelling.
    #[test]
    fn a_number_with_a_plus_has_one_form() {
        let plan = NumberingPlan::of("GB").unwrap();
        for (text, read) in [
            ("+447400123456", Some("+447400123456")),
            ("+4407400123456", Some("+447400123456")),
            ("+8613612345678", Some("+8613612345678")),
            ("+86013612345678", Some("+8613612345678")),
            ("+12015550123", Some("+12015550123")),
            // No plan has these yet, and they are as long as phone numbers are.
            ("+12015550", None),
            ("+447000000000", Some("+447000000000")),
            ("+9990000000", None),
            ("+0000000", None),
        ] {
            assert_eq!(plan.international(text).as_deref(), read, "{text}");
        }
    }

    #[test]
    fn a_region_is_two_capital_letters_with_a_plan() {
        assert_eq!(NumberingPlan::of("GB").unwrap().example().as_deref(), Some("07400 123456"));
        for wrong in ["", "gb", "GBR", "44", "ZZ", "001", "UK", "XX", "ÄB"] {
            assert!(NumberingPlan::of(wrong).is_none(), "{wrong}");
        }
    }
}
