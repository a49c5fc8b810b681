//! Hindi. A purpose is a noun that stands before `OTP` and `के लिए` (for). Banks and services in India call a code
//! `OTP`, also in Hindi, and warn of sharing it. `मि.` and `से.` (which also means from) save little.

use crate::message::texts::{BuiltIn, EmailTexts, Forms, PerUsage, Units, one_other};

pub(super) static TEXTS: BuiltIn = BuiltIn {
    tag: "hi",
    sms: &[
        "{code} {application} पर {purpose} के लिए आपका OTP है। यह {time} तक मान्य है। इसे किसी को न बताएं।",
        "{code} {application} पर {purpose} के लिए OTP, {time} तक मान्य। किसी को न बताएं",
        "{code} {application} {purpose} OTP, {time} तक मान्य। किसी को न बताएं।",
        "{code} {purpose} के लिए आपका OTP है। {time} तक मान्य। किसी को न बताएं।",
        "{code} {purpose} OTP, {time} तक मान्य। किसी को न बताएं।",
        "{code} {purpose} OTP, {time}\nकिसी को न बताएं",
        "{code} {purpose} OTP\nकिसी को न बताएं",
    ],
    sms_shortest: None,
    sms_purposes: PerUsage {
        login: "लॉगिन",
        signup: "साइन अप",
        confirm_address: "नंबर सत्यापन",
        reset_password: "पासवर्ड रीसेट",
        other: "पुष्टि",
    },
    email: EmailTexts {
        subject: "{code} आपका {application} OTP है",
        intro: "{application} पर {purpose} के लिए आपका OTP:",
        validity: "यह OTP {validity} तक मान्य है।",
        link: "आप यह लिंक भी खोल सकते हैं:",
        closing: "यह OTP किसी को न बताएं। अगर आपने इसका अनुरोध नहीं किया है, तो इस ईमेल को अनदेखा करें।",
    },
    email_purposes: PerUsage {
        login: "लॉगिन",
        signup: "साइन अप",
        confirm_address: "ईमेल पते की पुष्टि",
        reset_password: "पासवर्ड रीसेट",
        other: "अनुरोध की पुष्टि",
    },
    units: Units {
        plural: one_other,
        minute: Forms::same("# मिनट"),
        second: Forms::same("# सेकंड"),
        short: ["# मिनट", "# सेकंड"],
    },
};
