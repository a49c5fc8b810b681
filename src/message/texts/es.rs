//! Spanish. The 7-bit alphabet has é and ñ but not á, í, ó and ú. So an SMS says `clave` and `acceder` where an e-mail
//! says `código` and `iniciar sesión`: with an accent, the message would have 70 characters instead of 160.

use crate::message::texts::{BuiltIn, EmailTexts, Forms, PerUsage, Units, one_other};

pub(super) static TEXTS: BuiltIn = BuiltIn {
    tag: "es",
    sms: &[
        "{code} es tu clave de un solo uso de {application} {purpose}. Vence en {time}. No la compartas con nadie.",
        "{code} es tu clave de un solo uso {purpose}. Vence en {time}. No la compartas con nadie.",
        "{code} es tu clave temporal {purpose}. Vence en {time}. No la des a nadie.",
    ],
    sms_shortest: None,
    sms_purposes: PerUsage {
        login: "para acceder",
        signup: "para crear tu cuenta",
        confirm_address: "para confirmar este teléfono",
        reset_password: "para restablecer tu contraseña",
        other: "para confirmar tu solicitud",
    },
    email: EmailTexts {
        subject: "{code} es tu código de {application}",
        intro: "Este es tu código de {application} {purpose}:",
        validity: "El código vence en {validity}.",
        link: "También puedes abrir este enlace:",
        closing: "No compartas este código con nadie. Si no lo solicitaste, puedes ignorar este correo.",
    },
    email_purposes: PerUsage {
        login: "para iniciar sesión",
        signup: "para crear tu cuenta",
        confirm_address: "para confirmar esta dirección de correo",
        reset_password: "para restablecer tu contraseña",
        other: "para confirmar tu solicitud",
    },
    units: Units {
        plural: one_other,
        minute: Forms::one_other("# minuto", "# minutos"),
        second: Forms::one_other("# segundo", "# segundos"),
        short: ["# min", "# s"],
    },
};
