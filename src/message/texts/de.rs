//! German. All texts of SMS are in the 7-bit alphabet.

use crate::message::texts::{BuiltIn, EmailTexts, Forms, PerUsage, Units, one_other};

pub(super) static TEXTS: BuiltIn = BuiltIn {
    tag: "de",
    sms: &[
        "{code} ist Ihr Code {purpose} bei {application}. Er ist {time} gültig. Geben Sie ihn an niemanden weiter.",
        "{code} ist Ihr Code {purpose}. Er ist {time} gültig. Geben Sie ihn an niemanden weiter.",
        "{code} ist Ihr Code {purpose}. {time} gültig. An niemanden weitergeben.",
    ],
    sms_shortest: None,
    sms_purposes: PerUsage {
        login: "für die Anmeldung",
        signup: "für die Registrierung",
        confirm_address: "zur Bestätigung dieser Telefonnummer",
        reset_password: "zum Zurücksetzen Ihres Passworts",
        other: "zur Bestätigung Ihrer Anfrage",
    },
    email: EmailTexts {
        subject: "{code} ist Ihr Bestätigungscode für {application}",
        intro: "Ihr Code {purpose} bei {application} lautet:",
        validity: "Der Code ist {validity} gültig.",
        link: "Sie können auch diesen Link öffnen:",
        closing: "Geben Sie den Code an niemanden weiter. Wenn Sie ihn nicht angefordert haben, können Sie diese \
                  E-Mail ignorieren.",
    },
    email_purposes: PerUsage {
        login: "für die Anmeldung",
        signup: "für die Registrierung",
        confirm_address: "zur Bestätigung dieser E-Mail-Adresse",
        reset_password: "zum Zurücksetzen Ihres Passworts",
        other: "zur Bestätigung Ihrer Anfrage",
    },
    units: Units {
        plural: one_other,
        minute: Forms::one_other("# Minute", "# Minuten"),
        second: Forms::one_other("# Sekunde", "# Sekunden"),
        short: ["# Min.", "# Sek."],
    },
};
