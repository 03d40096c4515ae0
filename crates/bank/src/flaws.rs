//! The planted flaws and the one switch over them.

/// One planted flaw. Its number never changes; `docs/sample-bank.md` has the exploit of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Flaw {
    /// BANK-01.
    AnyAccount,
    /// BANK-02.
    ForeignStatement,
    /// BANK-03.
    MassAssignment,
    /// BANK-04.
    StringSql,
    /// BANK-05.
    ShellReport,
    /// BANK-06.
    NoteTemplate,
    /// BANK-07.
    WebhookFetch,
    /// BANK-08.
    CardNumbers,
    /// BANK-09.
    PasswordHashes,
    /// BANK-10.
    InternalFields,
    /// BANK-11.
    DebugPage,
    /// BANK-12.
    OpenV0,
    /// BANK-13.
    VerboseErrors,
    /// BANK-14.
    UnlimitedLogin,
    /// BANK-15.
    NamesTold,
    /// BANK-16.
    WeakReset,
    /// BANK-17.
    UnboundedPage,
    /// BANK-18.
    OpenPrices,
    /// BANK-19.
    TokenAfterLogout,
    /// BANK-20.
    MethodOverride,
    /// BANK-21.
    OpenCors,
    /// BANK-22.
    AnyHealthRecord,
}

impl Flaw {
    /// Every flaw, by number.
    pub const ALL: [Flaw; 22] = [
        Flaw::AnyAccount,
        Flaw::ForeignStatement,
        Flaw::MassAssignment,
        Flaw::StringSql,
        Flaw::ShellReport,
        Flaw::NoteTemplate,
        Flaw::WebhookFetch,
        Flaw::CardNumbers,
        Flaw::PasswordHashes,
        Flaw::InternalFields,
        Flaw::DebugPage,
        Flaw::OpenV0,
        Flaw::VerboseErrors,
        Flaw::UnlimitedLogin,
        Flaw::NamesTold,
        Flaw::WeakReset,
        Flaw::UnboundedPage,
        Flaw::OpenPrices,
        Flaw::TokenAfterLogout,
        Flaw::MethodOverride,
        Flaw::OpenCors,
        Flaw::AnyHealthRecord,
    ];

    /// Its number, such as `BANK-01`.
    #[must_use]
    pub fn number(self) -> String {
        format!("BANK-{:02}", self as u32 + 1)
    }

    /// What is wrong, in a few words.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Flaw::AnyAccount => "account read by any id",
            Flaw::ForeignStatement => "statement of another tenant",
            Flaw::MassAssignment => "role set by mass assignment",
            Flaw::StringSql => "SQL built from strings",
            Flaw::ShellReport => "shell call in a report name",
            Flaw::NoteTemplate => "template in notes",
            Flaw::WebhookFetch => "SSRF in the webhook test",
            Flaw::CardNumbers => "card numbers in responses",
            Flaw::PasswordHashes => "password hashes in responses",
            Flaw::InternalFields => "internal fields in responses",
            Flaw::DebugPage => "debug page",
            Flaw::OpenV0 => "forgotten v0 without authentication",
            Flaw::VerboseErrors => "verbose errors with stack traces",
            Flaw::UnlimitedLogin => "no limit on login",
            Flaw::NamesTold => "user names told apart",
            Flaw::WeakReset => "weak reset tokens",
            Flaw::UnboundedPage => "unbounded page size",
            Flaw::OpenPrices => "price catalogue open to scraping",
            Flaw::TokenAfterLogout => "token accepted after logout",
            Flaw::MethodOverride => "HTTP method override",
            Flaw::OpenCors => "open CORS",
            Flaw::AnyHealthRecord => "health record read by any id",
        }
    }

    /// Its item of the OWASP API Security Top 10 of 2023; injection is an item of the OWASP Top 10 of 2021.
    #[must_use]
    pub const fn owasp(self) -> &'static str {
        match self {
            Flaw::AnyAccount | Flaw::ForeignStatement | Flaw::AnyHealthRecord => "API1:2023",
            Flaw::NamesTold | Flaw::UnlimitedLogin | Flaw::WeakReset | Flaw::TokenAfterLogout => "API2:2023",
            Flaw::MassAssignment | Flaw::CardNumbers | Flaw::PasswordHashes | Flaw::InternalFields => {
                "API3:2023"
            }
            Flaw::UnboundedPage => "API4:2023",
            Flaw::MethodOverride => "API5:2023",
            Flaw::OpenPrices => "API6:2023",
            Flaw::WebhookFetch => "API7:2023",
            Flaw::VerboseErrors | Flaw::OpenCors => "API8:2023",
            Flaw::DebugPage | Flaw::OpenV0 => "API9:2023",
            Flaw::StringSql | Flaw::ShellReport | Flaw::NoteTemplate => "A03:2021",
        }
    }
}

/// Which flaws a bank has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flaws(u32);

impl Flaws {
    /// The vulnerable bank.
    #[must_use]
    pub fn all() -> Self {
        Flaw::ALL.into_iter().fold(Self::none(), Self::with)
    }

    /// The fixed bank.
    #[must_use]
    pub const fn none() -> Self {
        Flaws(0)
    }

    /// These and one more.
    #[must_use]
    pub const fn with(self, flaw: Flaw) -> Self {
        Flaws(self.0 | 1 << flaw as u32)
    }

    /// Whether a flaw is planted.
    #[must_use]
    pub const fn has(self, flaw: Flaw) -> bool {
        self.0 & (1 << flaw as u32) != 0
    }

    /// A number that tells sets of flaws apart.
    pub(crate) const fn bits(self) -> u32 {
        self.0
    }
}
