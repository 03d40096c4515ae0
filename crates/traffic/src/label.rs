//! The truth about a request: who sent it, why, and what should become of it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// What sends a request, by behaviour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A customer of the bank.
    Person,
    /// Reads accounts by counting ids.
    AccountEnumeration,
    /// Reads health records by counting ids.
    RecordEnumeration,
    /// Reads statements of other tenants by a header.
    TenantSwitch,
    /// Tries a leaked list of names and passwords.
    CredentialStuffing,
    /// Tries many passwords of one name.
    PasswordGuessing,
    /// Asks which names exist.
    NameProbing,
    /// Guesses reset tokens.
    ResetGuessing,
    /// Takes the catalogue of prices.
    PriceScraping,
    /// Asks for pages far larger than documented.
    PageInflation,
    /// Sends tokens that nobody issued.
    ForgedToken,
    /// Uses a token after its session has ended.
    LoggedOutToken,
    /// Calls protected operations without a credential.
    AnonymousAccess,
    /// Looks for what was forgotten: old versions, debug pages, files.
    ForgottenEndpoint,
    /// Replaces the method by a header.
    MethodOverride,
    /// Sends SQL.
    SqlInjection,
    /// Sends shell commands.
    ShellInjection,
    /// Sends templates.
    TemplateInjection,
    /// Has the bank fetch inner addresses.
    Ssrf,
    /// Sets fields that are not the caller's to set.
    MassAssignment,
    /// Hides the path of an operation: dots, encodings.
    PathTrick,
    /// Calls operations of staff with a customer's token.
    LowPrivilege,
    /// Calls from a page of a foreign origin.
    ForeignOrigin,
    /// Sends heads that are too large.
    OversizedHead,
    /// Sends ids that are not numbers, to read errors.
    ErrorProbing,
}

impl Kind {
    /// Every attack, in the order of this enumeration.
    pub const ATTACKS: [Kind; 24] = [
        Kind::AccountEnumeration,
        Kind::RecordEnumeration,
        Kind::TenantSwitch,
        Kind::CredentialStuffing,
        Kind::PasswordGuessing,
        Kind::NameProbing,
        Kind::ResetGuessing,
        Kind::PriceScraping,
        Kind::PageInflation,
        Kind::ForgedToken,
        Kind::LoggedOutToken,
        Kind::AnonymousAccess,
        Kind::ForgottenEndpoint,
        Kind::MethodOverride,
        Kind::SqlInjection,
        Kind::ShellInjection,
        Kind::TemplateInjection,
        Kind::Ssrf,
        Kind::MassAssignment,
        Kind::PathTrick,
        Kind::LowPrivilege,
        Kind::ForeignOrigin,
        Kind::OversizedHead,
        Kind::ErrorProbing,
    ];

    /// Its name in labels and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Person => "person",
            Kind::AccountEnumeration => "account_enumeration",
            Kind::RecordEnumeration => "record_enumeration",
            Kind::TenantSwitch => "tenant_switch",
            Kind::CredentialStuffing => "credential_stuffing",
            Kind::PasswordGuessing => "password_guessing",
            Kind::NameProbing => "name_probing",
            Kind::ResetGuessing => "reset_guessing",
            Kind::PriceScraping => "price_scraping",
            Kind::PageInflation => "page_inflation",
            Kind::ForgedToken => "forged_token",
            Kind::LoggedOutToken => "logged_out_token",
            Kind::AnonymousAccess => "anonymous_access",
            Kind::ForgottenEndpoint => "forgotten_endpoint",
            Kind::MethodOverride => "method_override",
            Kind::SqlInjection => "sql_injection",
            Kind::ShellInjection => "shell_injection",
            Kind::TemplateInjection => "template_injection",
            Kind::Ssrf => "ssrf",
            Kind::MassAssignment => "mass_assignment",
            Kind::PathTrick => "path_trick",
            Kind::LowPrivilege => "low_privilege",
            Kind::ForeignOrigin => "foreign_origin",
            Kind::OversizedHead => "oversized_head",
            Kind::ErrorProbing => "error_probing",
        }
    }

    /// The attack of this name.
    #[must_use]
    pub fn attack(name: &str) -> Option<Kind> {
        Kind::ATTACKS.into_iter().find(|kind| kind.name() == name)
    }

    /// The planted flaw of `docs/sample-bank.md` that it uses, such as `BANK-01`.
    #[must_use]
    pub const fn flaw(self) -> Option<&'static str> {
        Some(match self {
            Kind::AccountEnumeration => "BANK-01",
            Kind::TenantSwitch => "BANK-02",
            Kind::MassAssignment => "BANK-03",
            Kind::SqlInjection => "BANK-04",
            Kind::ShellInjection => "BANK-05",
            Kind::TemplateInjection => "BANK-06",
            Kind::Ssrf => "BANK-07",
            Kind::ForgottenEndpoint => "BANK-12",
            Kind::ErrorProbing => "BANK-13",
            Kind::CredentialStuffing | Kind::PasswordGuessing => "BANK-14",
            Kind::NameProbing => "BANK-15",
            Kind::ResetGuessing => "BANK-16",
            Kind::PageInflation => "BANK-17",
            Kind::PriceScraping => "BANK-18",
            Kind::LoggedOutToken => "BANK-19",
            Kind::MethodOverride => "BANK-20",
            Kind::ForeignOrigin => "BANK-21",
            Kind::RecordEnumeration => "BANK-22",
            Kind::Person
            | Kind::ForgedToken
            | Kind::AnonymousAccess
            | Kind::PathTrick
            | Kind::LowPrivilege
            | Kind::OversizedHead => return None,
        })
    }

    /// The drill that it belongs to, such as `T-07`.
    #[must_use]
    pub const fn drill(self) -> Option<&'static str> {
        Some(match self {
            Kind::LowPrivilege | Kind::PathTrick | Kind::MassAssignment | Kind::MethodOverride => "T-01",
            Kind::SqlInjection => "T-02",
            Kind::CredentialStuffing | Kind::PasswordGuessing | Kind::NameProbing => "T-07",
            Kind::PriceScraping => "T-08",
            Kind::RecordEnumeration => "T-09",
            Kind::ForgedToken | Kind::LoggedOutToken => "T-13",
            Kind::AnonymousAccess | Kind::ForgottenEndpoint => "T-14",
            Kind::AccountEnumeration | Kind::TenantSwitch => "T-15",
            Kind::Person
            | Kind::ResetGuessing
            | Kind::PageInflation
            | Kind::ShellInjection
            | Kind::TemplateInjection
            | Kind::Ssrf
            | Kind::ForeignOrigin
            | Kind::OversizedHead
            | Kind::ErrorProbing => return None,
        })
    }
}

/// The part that a request plays in what its actor does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// A person's: stopping it is a false positive.
    Use,
    /// An attacker's, but nothing that only attackers do, such as signing in to an account of their own. Neither hit nor
    /// false positive.
    Groundwork,
    /// The attack itself: letting it through is a miss.
    Attack,
}

/// The truth about one request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Label {
    /// Who, such as `person-12` or `credential_stuffing-3`: the same for all that one actor sends.
    pub actor: Arc<str>,
    /// The behaviour.
    pub kind: Kind,
    /// What stopping it means.
    pub part: Part,
    /// The drill that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drill: Option<&'static str>,
    /// The planted flaw that it uses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flaw: Option<&'static str>,
    /// The operation of the bank's contract that it means, by `operationId`; none for what is in no contract.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<&'static str>,
    /// The customer whose credential it carries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub principal: Option<i64>,
    /// The object that it is after, such as `account:900`, or the name that it signs in as.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// The customer who owns the object and did not ask for this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub victim: Option<i64>,
    /// The status that the bank without flaws gives, where nothing stands before it. Attacks have none: they are to be
    /// stopped, by whatever status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<u16>,
}

impl Label {
    /// Whether a status is what was expected, by class (2xx, 4xx). True where nothing is expected.
    #[must_use]
    pub const fn is_met_by(&self, status: u16) -> bool {
        match self.expected {
            Some(expected) => expected / 100 == status / 100,
            None => true,
        }
    }
}
