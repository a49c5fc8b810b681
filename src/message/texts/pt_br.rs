//! Brazilian Portuguese. The 7-bit alphabet has é but not á, ã, ç, í, ó and õ. So an SMS says `token` where an e-mail
//! says `código`: with an accent, the message would have 70 characters instead of 160.

use crate::message::texts::{BuiltIn, EmailTexts, Forms, PerUsage, Units, one_other};

pub(super) static TEXTS: BuiltIn = BuiltIn {
    tag: "pt-BR",
    sms: &[
        "{code} é o seu token {application} {purpose}. Vale por {time}. Nunca compartilhe com ninguém.",
        "{code} é o seu token {purpose}. Vale por {time}. Nunca compartilhe com ninguém.",
        "{code} é seu token {purpose}. Vale {time}. Nunca compartilhe com ninguém.",
    ],
    sms_shortest: None,
    sms_purposes: PerUsage {
        login: "para entrar",
        signup: "para criar sua conta",
        confirm_address: "para confirmar este telefone",
        reset_password: "para redefinir sua senha",
        other: "para confirmar sua identidade",
    },
    email: EmailTexts {
        subject: "{code} é o seu código {application}",
        intro: "Este é o seu código {application} {purpose}:",
        validity: "O código é válido por {validity}.",
        link: "Você também pode abrir este link:",
        closing: "Não compartilhe este código com ninguém. Se você não o solicitou, ignore este e-mail.",
    },
    email_purposes: PerUsage {
        login: "para entrar",
        signup: "para criar sua conta",
        confirm_address: "para confirmar este e-mail",
        reset_password: "para redefinir sua senha",
        other: "para confirmar sua identidade",
    },
    units: Units {
        plural: one_other,
        minute: Forms::one_other("# minuto", "# minutos"),
        second: Forms::one_other("# segundo", "# segundos"),
        short: ["# min", "# s"],
    },
};
