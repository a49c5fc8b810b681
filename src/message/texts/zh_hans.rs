//! Chinese in simplified characters. A purpose follows `用于` (for).

use crate::message::texts::{BuiltIn, EmailTexts, Forms, PerUsage, Units, one_other};

pub(super) static TEXTS: BuiltIn = BuiltIn {
    tag: "zh-Hans",
    sms: &[
        "{code} 是您的{application}验证码，用于{purpose}，{time}内有效，请勿告知他人。",
        "{code} 是您的验证码，用于{purpose}，{time}内有效，请勿告知他人。",
        "{code} 验证码，用于{purpose}，{time}内有效，请勿告知他人",
    ],
    sms_shortest: None,
    sms_purposes: PerUsage {
        login: "登录",
        signup: "注册账号",
        confirm_address: "验证手机号",
        reset_password: "重置密码",
        other: "确认操作",
    },
    email: EmailTexts {
        subject: "{code} 是您的{application}验证码",
        intro: "以下是您的{application}验证码，用于{purpose}：",
        validity: "验证码在{validity}内有效。",
        link: "您也可以打开以下链接：",
        closing: "请勿将验证码告知他人。如非本人操作，请忽略此邮件。",
    },
    email_purposes: PerUsage {
        login: "登录",
        signup: "注册账号",
        confirm_address: "验证邮箱",
        reset_password: "重置密码",
        other: "确认操作",
    },
    units: Units {
        plural: one_other,
        minute: Forms::same("#分钟"),
        second: Forms::same("#秒"),
        short: ["#分钟", "#秒"],
    },
};
