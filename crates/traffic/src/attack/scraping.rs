//! Taking the catalogue of prices, page by page, from many places and with many accounts.

use std::collections::VecDeque;

use bartizan_bank::PRICES;
use bartizan_model::Timestamp;

use super::attacker::{Attacker, Behaviour, Shot};
use crate::request::Answer;

/// Takes every page once; what was refused is asked for again later, as somebody else and with smaller pages.
pub struct Scraping {
    pages: VecDeque<(u64, u64)>,
    last: Option<(u64, u64)>,
    page: u64,
    signs_in: bool,
    accounts: u64,
    refused: u32,
}

impl Scraping {
    pub fn new(attacker: &Attacker) -> Self {
        let mut scraping = Scraping {
            pages: VecDeque::new(),
            last: None,
            page: 100,
            signs_in: false,
            accounts: 0,
            refused: 0,
        };
        scraping.fill(attacker.plan.from);
        scraping
    }

    /// Every page of the catalogue, beginning somewhere.
    fn fill(&mut self, from: u64) {
        let prices = PRICES.unsigned_abs();
        let pages = prices.div_ceil(self.page);
        let first = from / self.page;
        self.pages = (0..pages).map(|at| ((first + at) % pages * self.page, self.page)).collect();
    }
}

impl Behaviour for Scraping {
    fn aim(&mut self, _: &mut Attacker, _: Timestamp) -> Option<Shot> {
        if self.pages.is_empty() {
            // Prices change: it begins anew.
            self.fill(0);
        }
        let (offset, limit) = self.pages.pop_front()?;
        self.last = Some((offset, limit));
        let shot = if limit == 1 {
            Shot::get(format!("/v1/prices/{}", offset + 1)).on("getPrice")
        } else {
            Shot::get(format!("/v1/prices?limit={limit}&offset={offset}")).on("listPrices")
        };
        let shot = shot.object(format!("prices:{}-{}", offset + 1, offset + limit));
        Some(if self.signs_in { shot } else { shot.anonymous() })
    }

    fn hear(&mut self, attacker: &mut Attacker, answer: Option<&Answer>, _: Timestamp) {
        let Some(page) = self.last.take() else { return };
        match answer.map(|answer| answer.status) {
            Some(200..=299) => {
                self.refused = 0;
                return;
            }
            // Only for those who are signed in: with an account of its own from here on.
            Some(401) => self.signs_in = true,
            Some(_) => {
                self.refused += 1;
                if self.signs_in {
                    self.accounts += 1;
                    attacker.account = attacker.accomplice(self.accounts % attacker.plan.addresses.max(1));
                    attacker.sign_out();
                }
                if attacker.is_fleet() {
                    attacker.switch();
                }
            }
            None => {}
        }
        // Smaller pages after refusals: 100, 20, then one at a time.
        let (offset, limit) = page;
        let size = match self.refused {
            0..=3 => limit,
            4..=9 => limit.min(20),
            _ => 1,
        };
        let mut at = offset;
        while at < offset + limit {
            self.pages.push_back((at, size.min(offset + limit - at)));
            at += size;
        }
    }
}
