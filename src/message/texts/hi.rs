//! Hindi. A purpose is a noun that stands before `कोड` (code).

use crate::message::texts::{BuiltIn, EmailTexts, Forms, PerUsage, Units, one_other};

pub(super) static TEXTS: BuiltIn = BuiltIn {
    tag: "hi",
    sms: &[
        "{code} आपका {application} {purpose} कोड है। यह {validity} तक मान्य है। इसे किसी को न बताएं।",
        "{code} आपका {purpose} कोड है। {validity} तक मान्य। किसी को न बताएं।",
        "{code} {purpose} कोड, {validity}। किसी को न बताएं",
        "{code} {purpose} कोड ({time}) किसी को न बताएं",
        "{code} {purpose} कोड ({time}), न बताएं",
    ],
    sms_shortest: None,
    sms_purposes: PerUsage {
        login: "लॉगिन",
        signup: "साइन अप",
        confirm_address: "नंबर पुष्टि",
        reset_password: "पासवर्ड रीसेट",
        other: "पुष्टि",
    },
    email: EmailTexts {
        subject: "{code} आपका {application} कोड है",
        intro: "{application} पर {purpose} के लिए आपका कोड:",
        validity: "यह कोड {validity} तक मान्य है।",
        link: "आप यह लिंक भी खोल सकते हैं:",
        closing: "यह कोड किसी को न बताएं। अगर आपने इसका अनुरोध नहीं किया है, तो इस ईमेल को अनदेखा करें।",
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
        short: ["# मि.", "# से."],
    },
};
