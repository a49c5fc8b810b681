//! Arabic. A purpose is a noun that follows `رمز` (code). Minutes and seconds are in the genitive or accusative.
//!
//! There are no marks of direction. The last line of an SMS is a paragraph of its own, and its first strong character is
//! Latin, and so it is shown from left to right.

use crate::message::texts::{BuiltIn, EmailTexts, Forms, Plural, PerUsage, Units};

pub(super) static TEXTS: BuiltIn = BuiltIn {
    tag: "ar",
    sms: &[
        "{code} هو رمز {purpose} في {application}. صالح لمدة {validity}. لا تشاركه مع أحد.",
        "{code} هو رمز {purpose}. صالح لمدة {validity}. لا تشاركه مع أحد.",
        "{code} رمز {purpose}، صالح {validity}. لا تشاركه مع أحد.",
        "{code} رمز {purpose}، صالح {validity}. لا تشاركه.",
        "{code} رمز {purpose} ({time}) لا تشاركه",
    ],
    sms_shortest: None,
    sms_purposes: PerUsage {
        login: "تسجيل الدخول",
        signup: "إنشاء الحساب",
        confirm_address: "تأكيد الرقم",
        reset_password: "تغيير كلمة السر",
        other: "تأكيد الطلب",
    },
    email: EmailTexts {
        subject: "{code} هو رمزك في {application}",
        intro: "رمز {purpose} في {application}:",
        validity: "الرمز صالح لمدة {validity}.",
        link: "يمكنك أيضًا فتح هذا الرابط:",
        closing: "لا تشارك هذا الرمز مع أحد. إذا لم تطلبه، فيمكنك تجاهل هذه الرسالة.",
    },
    email_purposes: PerUsage {
        login: "تسجيل الدخول",
        signup: "إنشاء الحساب",
        confirm_address: "تأكيد عنوان البريد الإلكتروني",
        reset_password: "تغيير كلمة السر",
        other: "تأكيد الطلب",
    },
    units: Units {
        plural,
        minute: Forms {
            one: "دقيقة واحدة", two: "دقيقتين", few: "# دقائق", many: "# دقيقة", other: "# دقيقة"
        },
        second: Forms {
            one: "ثانية واحدة", two: "ثانيتين", few: "# ثوانٍ", many: "# ثانية", other: "# ثانية"
        },
        short: ["# د", "# ث"],
    },
};

fn plural(number: u64) -> Plural {
    match (number, number % 100) {
        (1, _) => Plural::One,
        (2, _) => Plural::Two,
        (_, 3..=10) => Plural::Few,
        (_, 11..) => Plural::Many,
        _ => Plural::Other,
    }
}
