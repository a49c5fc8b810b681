//! French. All texts of SMS are in the 7-bit alphabet, which has é, è, à and ù but not ê, î, ô and ç.

use crate::message::texts::{BuiltIn, EmailTexts, Forms, PerUsage, Units, one_other};

pub(super) static TEXTS: BuiltIn = BuiltIn {
    tag: "fr",
    sms: &[
        "{code} est votre code {application} {purpose}. Il expire dans {time}. Ne le communiquez à personne.",
        "{code} est votre code {purpose}. Il expire dans {time}. Ne le communiquez à personne.",
        "{code} est votre code {purpose}. Valable {time}. Ne le donnez à personne.",
        "{code} est votre code {purpose} ({time}). Ne le donnez à personne.",
    ],
    sms_shortest: None,
    sms_purposes: PerUsage {
        login: "pour vous connecter",
        signup: "pour créer votre compte",
        confirm_address: "pour confirmer ce numéro",
        reset_password: "pour réinitialiser votre mot de passe",
        other: "pour confirmer votre demande",
    },
    email: EmailTexts {
        subject: "{code} est votre code {application}",
        intro: "Voici votre code {application} {purpose}\u{a0}:",
        validity: "Ce code expire dans {validity}.",
        link: "Vous pouvez aussi ouvrir ce lien\u{a0}:",
        closing: "Ne communiquez ce code à personne. Si vous ne l’avez pas demandé, vous pouvez ignorer cet e-mail.",
    },
    email_purposes: PerUsage {
        login: "pour vous connecter",
        signup: "pour créer votre compte",
        confirm_address: "pour confirmer cette adresse e-mail",
        reset_password: "pour réinitialiser votre mot de passe",
        other: "pour confirmer votre demande",
    },
    units: Units {
        plural: one_other,
        minute: Forms::one_other("# minute", "# minutes"),
        second: Forms::one_other("# seconde", "# secondes"),
        short: ["# min", "# s"],
    },
};
