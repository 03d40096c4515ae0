//! Objects of others: accounts, health records and statements, by counting ids.

use bartizan_bank::CUSTOMERS;
use bartizan_model::Timestamp;

use super::attacker::{Attacker, Behaviour, Shot};
use crate::{label::Kind, request::Answer, rhythm::month_before, token::tenant};

/// Misses in a row after which the counting begins elsewhere.
const MISSES: u32 = 6;

/// Reads what belongs to others, id after id.
pub struct Enumeration {
    kind: Kind,
    next: i64,
    misses: u32,
}

impl Enumeration {
    /// Begins beside what is the attacker's own.
    pub fn new(attacker: &Attacker) -> Self {
        let kind = attacker.plan.kind;
        let own = if kind == Kind::RecordEnumeration { attacker.account } else { attacker.account * 2 };
        let skip = i64::try_from(attacker.plan.from).unwrap_or_default();
        Enumeration { kind, next: if skip > 0 { skip } else { own + 1 }, misses: 0 }
    }

    fn most(&self) -> i64 {
        if self.kind == Kind::RecordEnumeration { CUSTOMERS } else { CUSTOMERS * 2 }
    }

    fn own(&self, attacker: &Attacker) -> bool {
        let owner = if self.kind == Kind::RecordEnumeration { self.next } else { (self.next + 1) / 2 };
        // A tenant reads the statements of all its accounts.
        owner == attacker.account
            || self.kind == Kind::TenantSwitch && tenant(owner) == tenant(attacker.account)
    }
}

impl Behaviour for Enumeration {
    fn aim(&mut self, attacker: &mut Attacker, now: Timestamp) -> Option<Shot> {
        if self.next > self.most() || self.misses >= MISSES {
            let most = self.most().unsigned_abs();
            self.next = i64::try_from(attacker.draw.between(1, most)).unwrap_or(1);
            self.misses = 0;
        }
        while self.own(attacker) {
            self.next += 1;
        }
        let id = self.next;
        // Some skip ids, so that what they do looks less like counting.
        self.next += if attacker.plan.instance.is_multiple_of(3) {
            i64::try_from(attacker.draw.between(1, 9)).unwrap_or(1)
        } else {
            1
        };
        let owner = (id + 1) / 2;
        let known = u16::from(owner > CUSTOMERS || id > self.most()) * 204 + 200;
        Some(match self.kind {
            Kind::RecordEnumeration => Shot::get(format!("/v1/health-records/{id}"))
                .on("getHealthRecord")
                .object(format!("record:{id}"))
                .victim(id)
                .foreseen(known),
            Kind::TenantSwitch => {
                let (year, month) = month_before(now, 1 + attacker.draw.below(6));
                Shot::get(format!("/v1/accounts/{id}/statements/{year:04}-{month:02}"))
                    .on("getStatement")
                    .field("X-Tenant", tenant(owner))
                    .object(format!("account:{id}"))
                    .victim(owner)
                    .foreseen(known)
            }
            _ => Shot::get(format!("/v1/accounts/{id}"))
                .on("getAccount")
                .object(format!("account:{id}"))
                .victim(owner)
                .foreseen(known),
        })
    }

    fn hear(&mut self, _: &mut Attacker, answer: Option<&Answer>, _: Timestamp) {
        self.misses = if answer.is_some_and(Answer::is_success) { 0 } else { self.misses + 1 };
    }
}
