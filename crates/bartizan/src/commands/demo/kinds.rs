//! The kinds of attacks in words: what they are called, which belong together, and what stops those that get through.

use bartizan_traffic::Kind;

use super::score::{Score, Tally};

/// Kinds that belong together, for terminals with few rows.
pub struct Family {
    /// What they have in common.
    pub name: &'static str,
    /// Which ones.
    pub kinds: &'static [Kind],
}

/// Every attack is in one family.
pub const FAMILIES: [Family; 8] = [
    Family {
        name: "other people's data",
        kinds: &[Kind::AccountEnumeration, Kind::RecordEnumeration, Kind::TenantSwitch],
    },
    Family {
        name: "passwords and resets",
        kinds: &[Kind::CredentialStuffing, Kind::PasswordGuessing, Kind::NameProbing, Kind::ResetGuessing],
    },
    Family {
        name: "forged, old or no token",
        kinds: &[Kind::ForgedToken, Kind::LoggedOutToken, Kind::AnonymousAccess],
    },
    Family { name: "taking in bulk", kinds: &[Kind::PriceScraping, Kind::PageInflation] },
    Family {
        name: "injection",
        kinds: &[Kind::SqlInjection, Kind::ShellInjection, Kind::TemplateInjection, Kind::Ssrf],
    },
    Family {
        name: "more rights than given",
        kinds: &[Kind::MassAssignment, Kind::LowPrivilege, Kind::MethodOverride],
    },
    Family { name: "forgotten endpoints", kinds: &[Kind::ForgottenEndpoint, Kind::PathTrick] },
    Family {
        name: "foreign, odd requests",
        kinds: &[Kind::ForeignOrigin, Kind::OversizedHead, Kind::ErrorProbing],
    },
];

/// What a kind is called, at most 22 columns.
pub fn title(kind: Kind) -> &'static str {
    match kind {
        Kind::Person => "person",
        Kind::AccountEnumeration => "accounts by counting",
        Kind::RecordEnumeration => "health records by id",
        Kind::TenantSwitch => "another tenant's data",
        Kind::CredentialStuffing => "leaked passwords",
        Kind::PasswordGuessing => "password guessing",
        Kind::NameProbing => "probing user names",
        Kind::ResetGuessing => "guessing reset codes",
        Kind::PriceScraping => "price scraping",
        Kind::PageInflation => "oversized pages",
        Kind::ForgedToken => "forged tokens",
        Kind::LoggedOutToken => "tokens after logout",
        Kind::AnonymousAccess => "no credential",
        Kind::ForgottenEndpoint => "forgotten endpoints",
        Kind::MethodOverride => "method override",
        Kind::SqlInjection => "SQL injection",
        Kind::ShellInjection => "shell injection",
        Kind::TemplateInjection => "template injection",
        Kind::Ssrf => "server-side requests",
        Kind::MassAssignment => "fields not theirs",
        Kind::PathTrick => "disguised paths",
        Kind::LowPrivilege => "staff operations",
        Kind::ForeignOrigin => "foreign web pages",
        Kind::OversizedHead => "oversized headers",
        Kind::ErrorProbing => "probing for errors",
    }
}

/// The gateway removes the header that replaces the method: what arrives is a plain `GET`.
const HARMLESS: &str = "already harmless";

/// The capability that will stop what gets through, at most 17 columns.
pub fn needs(kind: Kind) -> &'static str {
    match kind {
        Kind::AccountEnumeration | Kind::RecordEnumeration | Kind::TenantSwitch => "ownership rules",
        Kind::CredentialStuffing | Kind::PasswordGuessing | Kind::NameProbing | Kind::ResetGuessing => {
            "sign-in defence"
        }
        Kind::PriceScraping => "scraping defence",
        Kind::PageInflation | Kind::MassAssignment | Kind::ErrorProbing | Kind::OversizedHead => {
            "request checks"
        }
        Kind::LoggedOutToken | Kind::ForgedToken => "token revocation",
        Kind::SqlInjection | Kind::ShellInjection | Kind::TemplateInjection | Kind::Ssrf => "firewall rules",
        Kind::LowPrivilege => "roles",
        Kind::MethodOverride => HARMLESS,
        Kind::Person
        | Kind::AnonymousAccess
        | Kind::ForgottenEndpoint
        | Kind::PathTrick
        | Kind::ForeignOrigin => "a tighter policy",
    }
}

/// The same as a sentence.
pub fn ahead(kind: Kind) -> String {
    match needs(kind) {
        HARMLESS => "harmless, its header is removed".to_owned(),
        capability => format!("to be stopped by {capability}"),
    }
}

/// One line about attacks.
pub struct Row {
    /// The kind or family.
    pub name: &'static str,
    /// What happened to it.
    pub tally: Tally,
    /// What stops that which got through; empty where nothing did.
    pub needs: &'static str,
}

/// A line for each kind of `cast` where there is room for all, else a line for each family.
pub fn rows(score: &Score, cast: &[Kind], room: usize) -> Vec<Row> {
    let row = |name: &'static str, kinds: &[Kind]| {
        let tallies = kinds.iter().map(|kind| (*kind, score.attack(*kind)));
        let worst =
            tallies.clone().filter(|(_, tally)| tally.through > 0).max_by_key(|(_, tally)| tally.through);
        let mut all = Tally::default();
        tallies.for_each(|(_, tally)| all += tally);
        Row { name, tally: all, needs: worst.map_or("", |(kind, _)| needs(kind)) }
    };
    if cast.len() <= room {
        return cast.iter().map(|kind| row(title(*kind), &[*kind])).collect();
    }
    FAMILIES.iter().map(|family| row(family.name, family.kinds)).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests assert")]
    use super::*;

    #[test]
    fn every_attack_is_in_one_family_and_fits_its_column() {
        for kind in Kind::ATTACKS {
            let families = FAMILIES.iter().filter(|family| family.kinds.contains(&kind)).count();
            assert_eq!(families, 1, "{kind:?}");
            assert!(title(kind).len() <= 22 && needs(kind).len() <= 17, "{kind:?}");
        }
        assert!(FAMILIES.iter().all(|family| family.name.len() <= 23));
    }
}
