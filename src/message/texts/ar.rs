//! Arabic. A purpose is a noun that follows `رمز` (code). Minutes and seconds are in the genitive or accusative, and
//! are never abbreviated: `د` and `ث` are not known to every reader.
//!
//! There are no marks of direction. The last line of an SMS is a paragraph of its own, and its first strong character
//! is Latin, and so it is shown from left to right. A number must not follow the name of the application directly:
//! after a Latin name, it would be shown on the wrong side of the name.

use crate::message::texts::{BuiltIn, EmailTexts, Forms, PerUsage, Plural, Shortest, Units};

pub(super) static TEXTS: BuiltIn = BuiltIn {
    tag: "ar",
    sms: &[
        "{code} هو رمز {purpose} في {application}. صالح لمدة {validity}. لا تشاركه مع أحد.",
        "{code} رمز {purpose} في {application}، صالح {validity}. لا تشاركه مع أحد",
        "{code} هو رمز {purpose}. صالح لمدة {validity}. لا تشاركه مع أحد.",
        "{code} رمز {purpose}، صالح {validity}. لا تشاركه مع أحد.",
        "{code} رمز {purpose}، {validity}\nلا تشاركه مع أحد",
        "{code} رمز {purpose}، {validity}\nلا تعطه لأحد",
    ],
    sms_shortest: Some(Shortest {
        per_usage: PerUsage {
            login: "{code} رمز الدخول، {validity}\nلا تعطه لأحد",
            signup: "{code} رمز إنشاء حساب\nلا تشاركه مع أحد",
            confirm_address: "{code} رمز تأكيد الرقم\nلا تشاركه مع أحد",
            reset_password: "{code} رمز تغيير كلمة السر\nلا تعطه لأحد",
            other: "{code} رمز تأكيد الطلب\nلا تشاركه مع أحد",
        },
        with_own_purpose: "{code} رمز {purpose}\nلا تعطه لأحد",
    }),
    sms_purposes: PerUsage {
        login: "تسجيل الدخول",
        signup: "إنشاء حساب",
        confirm_address: "تأكيد الرقم",
        reset_password: "تغيير كلمة السر",
        other: "تأكيد الطلب",
    },
    email: EmailTexts {
        subject: "{code} هو رمز التحقق الخاص بك في {application}",
        intro: "إليك رمز {purpose} في {application}:",
        validity: "الرمز صالح لمدة {validity}.",
        link: "يمكنك أيضًا فتح هذا الرابط:",
        closing: "لا تشارك هذا الرمز مع أحد. إذا لم تطلبه، فيمكنك تجاهل هذه الرسالة.",
    },
    email_purposes: PerUsage {
        login: "تسجيل الدخول",
        signup: "إنشاء حساب",
        confirm_address: "تأكيد عنوان البريد الإلكتروني",
        reset_password: "تغيير كلمة السر",
        other: "تأكيد الطلب",
    },
    units: Units {
        plural,
        minute: Forms {
            one: "دقيقة", two: "دقيقتين", few: "# دقائق", many: "# دقيقة", other: "# دقيقة"
        },
        second: Forms {
            one: "ثانية", two: "ثانيتين", few: "# ثوانٍ", many: "# ثانية", other: "# ثانية"
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
