//! Japanese. A purpose stands before `認証コード` or `コード` (code).

use crate::message::texts::{BuiltIn, EmailTexts, Forms, PerUsage, Units, one_other};

pub(super) static TEXTS: BuiltIn = BuiltIn {
    tag: "ja",
    sms: &[
        "{code} は{application}の{purpose}認証コードです。{time}有効です。他の人に教えないでください。",
        "{code} {application}の{purpose}認証コード（{time}有効）\n他人に教えないでください",
        "{code} は{purpose}認証コードです。{time}有効です。他の人に教えないでください。",
        "{code} {purpose}認証コード（{time}有効）\n他人に教えないでください",
        "{code} {purpose}コード（{time}有効）\n他人に教えないでください",
    ],
    sms_shortest: None,
    sms_purposes: PerUsage {
        login: "ログイン用",
        signup: "新規登録用",
        confirm_address: "電話番号確認用",
        reset_password: "パスワード再設定用",
        other: "お手続き用",
    },
    email: EmailTexts {
        subject: "{code} は{application}の認証コードです",
        intro: "{application}の{purpose}認証コードは次のとおりです。",
        validity: "このコードは{validity}有効です。",
        link: "次のリンクを開くこともできます。",
        closing: "このコードは他の人に教えないでください。お心当たりのない場合は、このメールを無視してください。",
    },
    email_purposes: PerUsage {
        login: "ログイン用",
        signup: "新規登録用",
        confirm_address: "メールアドレス確認用",
        reset_password: "パスワード再設定用",
        other: "お手続き用",
    },
    units: Units {
        plural: one_other,
        minute: Forms::same("#分間"),
        second: Forms::same("#秒間"),
        short: ["#分間", "#秒間"],
    },
};
