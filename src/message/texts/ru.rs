//! Russian. A purpose is in the genitive; in the shortest version it is in the nominative, as a heading. Minutes and
//! seconds are in the accusative.

use crate::message::texts::{BuiltIn, EmailTexts, Forms, PerUsage, Plural, Shortest, Units};

pub(super) static TEXTS: BuiltIn = BuiltIn {
    tag: "ru",
    sms: &[
        "{code} — код для {purpose} в {application}. Действует {time}. Никому его не сообщайте.",
        "{code} — код для {purpose} в {application}, {time}. Никому не сообщайте.",
        "{code} — код {purpose} в {application}, {time}. Никому не сообщайте",
        "{code} — код для {purpose}. Действует {time}. Никому его не сообщайте.",
        "{code} — код для {purpose}. Действует {time}. Никому не сообщайте.",
        "{code} — код {purpose}, {time}. Никому не сообщайте",
        "{code} код {purpose}, {time}\nНикому не сообщайте",
    ],
    sms_shortest: Some(Shortest {
        per_usage: PerUsage {
            login: "{code} вход, {time}\nНикому не сообщайте",
            signup: "{code} код регистрации\nНикому не давайте",
            confirm_address: "{code} проверка номера\nНикому не давайте",
            reset_password: "{code} смена пароля\nНикому не сообщайте",
            other: "{code} подтверждение\nНикому не сообщайте",
        },
        with_own_purpose: "{code} код {purpose}\nНикому не сообщайте",
    }),
    sms_purposes: PerUsage {
        login: "входа",
        signup: "регистрации",
        confirm_address: "проверки номера",
        reset_password: "смены пароля",
        other: "подтверждения",
    },
    email: EmailTexts {
        subject: "{code} — ваш код подтверждения {application}",
        intro: "Ваш код для {purpose} в {application}:",
        validity: "Код действует {validity}.",
        link: "Вы также можете перейти по ссылке:",
        closing: "Никому не сообщайте этот код. Если вы его не запрашивали, просто проигнорируйте это письмо.",
    },
    email_purposes: PerUsage {
        login: "входа",
        signup: "регистрации",
        confirm_address: "подтверждения адреса электронной почты",
        reset_password: "смены пароля",
        other: "подтверждения запроса",
    },
    units: Units {
        plural,
        minute: Forms {
            one: "# минуту", two: "# минуты", few: "# минуты", many: "# минут", other: "# минуты"
        },
        second: Forms {
            one: "# секунду", two: "# секунды", few: "# секунды", many: "# секунд", other: "# секунды"
        },
        short: ["# мин", "# сек"],
    },
};

fn plural(number: u64) -> Plural {
    match (number % 10, number % 100) {
        (1, tens) if tens != 11 => Plural::One,
        (2..=4, tens) if !(12..=14).contains(&tens) => Plural::Few,
        _ => Plural::Many,
    }
}
