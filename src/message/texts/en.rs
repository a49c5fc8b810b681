//! English.

use crate::message::texts::{BuiltIn, EmailTexts, Forms, PerUsage, Units, one_other};

pub(super) static TEXTS: BuiltIn = BuiltIn {
    tag: "en",
    sms: &[
        "{code} is your {application} code {purpose}. It expires in {time}. Don't share it with anyone.",
        "{code} is your code {purpose}. It expires in {time}. Don't share it with anyone.",
        "{code} is your code {purpose}. Valid for {time}. Don't share it with anyone.",
    ],
    sms_shortest: None,
    sms_purposes: PerUsage {
        login: "to log in",
        signup: "to sign up",
        confirm_address: "to confirm this phone number",
        reset_password: "to reset your password",
        other: "to confirm your request",
    },
    email: EmailTexts {
        subject: "{code} is your {application} code",
        intro: "Here is your {application} code {purpose}:",
        validity: "The code expires in {validity}.",
        link: "You can also open this link:",
        closing: "Don't share this code with anyone. If you didn't ask for it, you can ignore this email.",
    },
    email_purposes: PerUsage {
        login: "to log in",
        signup: "to sign up",
        confirm_address: "to confirm this email address",
        reset_password: "to reset your password",
        other: "to confirm your request",
    },
    units: Units {
        plural: one_other,
        minute: Forms::one_other("# minute", "# minutes"),
        second: Forms::one_other("# second", "# seconds"),
        short: ["# min", "# s"],
    },
};
