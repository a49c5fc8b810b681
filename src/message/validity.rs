//! How long a code is still valid, in words.

use core::time::Duration;

use crate::message::texts::Units;

/// The time that a message states: whole minutes, or whole seconds below a minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stated {
    Minutes(u64),
    Seconds(u64),
}

impl Stated {
    /// A message does not promise more than there is. Only some seconds pass over, which a request takes.
    pub(crate) fn of(validity: Duration) -> Self {
        match validity.saturating_add(SLACK).as_secs() / 60 {
            0 => Self::Seconds(validity.as_secs().max(1)),
            minutes => Self::Minutes(minutes),
        }
    }

    /// Every time that can be stated for a code of this validity or a shorter one.
    pub(crate) fn up_to(validity: Duration) -> impl Iterator<Item = Self> {
        let minutes = match Self::of(validity) {
            Self::Minutes(minutes) => minutes,
            Self::Seconds(_) => 0,
        };
        let seconds = validity.as_secs().clamp(1, 59);
        (1..=seconds).map(Self::Seconds).chain((1..=minutes).map(Self::Minutes))
    }

    /// The number of minutes, at least 1.
    pub(crate) fn minutes(self) -> String {
        match self {
            Self::Minutes(minutes) => minutes.to_string(),
            Self::Seconds(_) => "1".to_owned(),
        }
    }

    /// The time in words, as `3 minutes`.
    pub(crate) fn in_words(self, units: &Units) -> String {
        let (number, forms) = match self {
            Self::Minutes(number) => (number, &units.minute),
            Self::Seconds(number) => (number, &units.second),
        };
        forms.of((units.plural)(number)).replace('#', &number.to_string())
    }

    /// The time abbreviated, as `3 min`.
    pub(crate) fn abbreviated(self, units: &Units) -> String {
        let [minute, second] = units.short;
        match self {
            Self::Minutes(number) => minute.replace('#', &number.to_string()),
            Self::Seconds(number) => second.replace('#', &number.to_string()),
        }
    }
}

/// How much of a minute may be missing.
const SLACK: Duration = Duration::from_secs(5);

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::message::texts::BUILT_IN;

    #[test]
    fn a_message_promises_no_more_than_there_is() {
        use Stated::{Minutes, Seconds};
        for (millis, stated) in [
            (0, Seconds(1)),
            (30_900, Seconds(30)),
            (54_999, Seconds(54)),
            (55_000, Minutes(1)),
            (114_999, Minutes(1)),
            (115_000, Minutes(2)),
            (180_000, Minutes(3)),
            (179_999, Minutes(3)),
            (86_400_000, Minutes(1440)),
        ] {
            assert_eq!(Stated::of(Duration::from_millis(millis)), stated, "{millis}");
        }
        let all: Vec<Stated> = Stated::up_to(Duration::from_secs(180)).collect();
        for millis in 1_000..180_000_u64 {
            assert!(all.contains(&Stated::of(Duration::from_millis(millis))));
        }
        assert_eq!(all.len(), 59 + 3);
    }

    #[test]
    fn a_number_has_the_form_that_its_language_needs() {
        let words = |tag: &str, stated: Stated| {
            stated.in_words(&BUILT_IN.into_iter().find(|texts| texts.tag == tag).unwrap().units)
        };
        for (tag, number, minutes) in [
            ("en", 1, "1 minute"),
            ("en", 21, "21 minutes"),
            ("de", 2, "2 Minuten"),
            ("ru", 1, "1 минуту"),
            ("ru", 2, "2 минуты"),
            ("ru", 4, "4 минуты"),
            ("ru", 5, "5 минут"),
            ("ru", 11, "11 минут"),
            ("ru", 12, "12 минут"),
            ("ru", 21, "21 минуту"),
            ("ru", 22, "22 минуты"),
            ("ru", 111, "111 минут"),
            ("ru", 112, "112 минут"),
            ("ru", 121, "121 минуту"),
            ("ar", 1, "دقيقة"),
            ("ar", 2, "دقيقتين"),
            ("ar", 3, "3 دقائق"),
            ("ar", 10, "10 دقائق"),
            ("ar", 11, "11 دقيقة"),
            ("ar", 99, "99 دقيقة"),
            ("ar", 100, "100 دقيقة"),
            ("ar", 103, "103 دقائق"),
            ("hi", 1, "1 मिनट"),
            ("ja", 3, "3分間"),
            ("zh-Hans", 3, "3分钟"),
        ] {
            assert_eq!(words(tag, Stated::Minutes(number)), minutes, "{tag}");
        }
        assert_eq!(words("ru", Stated::Seconds(42)), "42 секунды");
        assert_eq!(words("ar", Stated::Seconds(2)), "ثانيتين");
    }
}
