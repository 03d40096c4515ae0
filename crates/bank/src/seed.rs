//! The people and things that the bank begins with: the same for the same seed.

use rusqlite::{Connection, Transaction, params};

use crate::{Flaw, Flaws, password};

/// Customers that are seeded, with the ids 1 to this.
pub const CUSTOMERS: i64 = 5_000;

/// Prices in the catalogue, with the ids 1 to this.
pub const PRICES: i64 = 2_000;

/// Customers of one tenant: a firm or household that reads its statements together.
const PER_TENANT: i64 = 10;

const FIRST: [&str; 16] = [
    "Ada", "Ben", "Cora", "Dan", "Eva", "Finn", "Gina", "Hugo", "Ida", "Jon", "Kim", "Lea", "Max", "Nora",
    "Otto", "Pia",
];
const LAST: [&str; 16] = [
    "Abel", "Brandt", "Conti", "Duval", "Evans", "Fischer", "Garcia", "Hansen", "Ito", "Jensen", "Keller",
    "Lopez", "Moreau", "Novak", "Okafor", "Peters",
];
const STREETS: [&str; 8] = ["Mill", "Harbour", "Station", "Garden", "Church", "Market", "River", "Hill"];
const WORDS: [&str; 16] = [
    "amber", "basil", "cedar", "delta", "ember", "fjord", "grove", "heron", "ivory", "jade", "karst",
    "lilac", "maple", "nectar", "onyx", "pebble",
];
/// Codes of ICD-10 with what was done.
const CASES: [(&str, &str); 8] = [
    ("E11.9", "type 2 diabetes, blood sugar control"),
    ("I10", "high blood pressure, medication"),
    ("J45.9", "asthma, inhaler"),
    ("F32.1", "depressive episode, therapy"),
    ("M54.5", "low back pain, physiotherapy"),
    ("K21.0", "reflux, gastroscopy"),
    ("S52.5", "fracture of the radius, cast"),
    ("Z23", "vaccination"),
];

/// Of the tables below. A file of another version is not opened.
pub const VERSION: u32 = 2;

const SCHEMA: &str = "
CREATE TABLE customers(id INTEGER PRIMARY KEY, tenant TEXT NOT NULL, username TEXT NOT NULL UNIQUE, name TEXT NOT NULL,
  email TEXT NOT NULL, phone TEXT NOT NULL, address TEXT NOT NULL, birth TEXT NOT NULL, role TEXT NOT NULL,
  password_hash TEXT, totp INTEGER NOT NULL, risk_score INTEGER NOT NULL, internal_note TEXT NOT NULL);
CREATE TABLE accounts(id INTEGER PRIMARY KEY, owner INTEGER NOT NULL, tenant TEXT NOT NULL, iban TEXT NOT NULL UNIQUE,
  kind TEXT NOT NULL, currency TEXT NOT NULL, balance_cents INTEGER NOT NULL);
CREATE INDEX accounts_owner ON accounts(owner);
CREATE TABLE cards(id INTEGER PRIMARY KEY, owner INTEGER NOT NULL, account INTEGER NOT NULL, number TEXT NOT NULL,
  cvv TEXT NOT NULL, expires TEXT NOT NULL, locked INTEGER NOT NULL);
CREATE INDEX cards_owner ON cards(owner);
CREATE TABLE payees(id INTEGER PRIMARY KEY, owner INTEGER NOT NULL, name TEXT NOT NULL, iban TEXT NOT NULL);
CREATE INDEX payees_owner ON payees(owner);
CREATE TABLE transfers(id INTEGER PRIMARY KEY, owner INTEGER NOT NULL, account INTEGER NOT NULL, to_iban TEXT NOT NULL,
  amount_cents INTEGER NOT NULL, text TEXT NOT NULL, at TEXT NOT NULL);
CREATE INDEX transfers_owner ON transfers(owner);
CREATE INDEX transfers_to ON transfers(to_iban);
CREATE TABLE notes(id INTEGER PRIMARY KEY, owner INTEGER NOT NULL, text TEXT NOT NULL, at TEXT NOT NULL);
CREATE INDEX notes_owner ON notes(owner);
CREATE TABLE documents(id INTEGER PRIMARY KEY, owner INTEGER NOT NULL, name TEXT NOT NULL, media_type TEXT NOT NULL,
  bytes BLOB NOT NULL);
CREATE INDEX documents_owner ON documents(owner);
CREATE TABLE webhooks(id INTEGER PRIMARY KEY, owner INTEGER NOT NULL, url TEXT NOT NULL, events TEXT NOT NULL,
  secret TEXT NOT NULL);
CREATE INDEX webhooks_owner ON webhooks(owner);
CREATE TABLE deliveries(id INTEGER PRIMARY KEY AUTOINCREMENT, webhook INTEGER NOT NULL, event TEXT NOT NULL,
  at TEXT NOT NULL, state TEXT NOT NULL, status INTEGER NOT NULL, attempts INTEGER NOT NULL);
CREATE INDEX deliveries_webhook ON deliveries(webhook);
CREATE TABLE idempotency(owner INTEGER NOT NULL, key TEXT NOT NULL, asked TEXT NOT NULL, transfer INTEGER NOT NULL,
  PRIMARY KEY(owner, key)) WITHOUT ROWID;
CREATE TABLE health_records(id INTEGER PRIMARY KEY, patient INTEGER NOT NULL, policy TEXT NOT NULL,
  diagnosis TEXT NOT NULL, treatment TEXT NOT NULL, amount_cents INTEGER NOT NULL);
CREATE INDEX health_patient ON health_records(patient);
CREATE TABLE prices(id INTEGER PRIMARY KEY, sku TEXT NOT NULL, name TEXT NOT NULL, currency TEXT NOT NULL,
  fee_cents INTEGER NOT NULL);
CREATE TABLE mails(id INTEGER PRIMARY KEY, customer INTEGER NOT NULL, text TEXT NOT NULL);
";

/// Somebody who works for the bank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Staff {
    /// Changes roles and rotates keys.
    Admin,
    /// Looks customers up.
    Clerk,
    /// Reads health records.
    Doctor,
}

impl Staff {
    const ALL: [(Staff, &'static str, &'static str); 3] = [
        (Staff::Admin, "admin", "admin"),
        (Staff::Clerk, "clerk", "clerk"),
        (Staff::Doctor, "doctor", "medical"),
    ];

    /// The id, after those of the customers.
    #[must_use]
    pub const fn id(self) -> i64 {
        CUSTOMERS + 1 + self as i64
    }
}

/// What a seeded person signs in with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The user name.
    pub username: String,
    /// The password that the person begins with.
    pub password: String,
    /// Where a code of [`totp`](crate::totp) is asked for, its secret. Every fourth customer and all staff.
    pub totp: Option<Vec<u8>>,
}

impl Credentials {
    /// The secret as authenticator apps take it (RFC 4648 section 6, without padding).
    #[must_use]
    pub fn totp_base32(&self) -> Option<String> {
        const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        let secret = self.totp.as_ref()?;
        let bits: Vec<u8> =
            secret.iter().flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1)).collect();
        let letter = |five: &[u8]| {
            let value =
                (0..5).fold(0_usize, |sum, at| sum * 2 + usize::from(five.get(at).copied().unwrap_or(0)));
            LETTERS.get(value).map(|&letter| char::from(letter))
        };
        bits.chunks(5).map(letter).collect()
    }
}

/// The credentials that a person begins with: customers have the ids 1 to [`CUSTOMERS`], staff [`Staff::id`].
#[must_use]
pub fn credentials(seed: u64, id: i64) -> Credentials {
    let mut draw = Draw::of(seed, "person", id);
    let (first, last) = (draw.one(&FIRST), draw.one(&LAST));
    let username = match Staff::ALL.iter().find(|(staff, ..)| staff.id() == id) {
        Some((_, name, _)) => (*name).to_owned(),
        None => format!("{}.{}.{id}", first.to_lowercase(), last.to_lowercase()),
    };
    let mut secrets = Draw::of(seed, "secrets", id);
    let password = format!("{}-{}-{:04}", secrets.one(&WORDS), secrets.one(&WORDS), secrets.below(10_000));
    let totp = (id % 4 == 0 || id > CUSTOMERS)
        .then(|| (0..20).map(|_| u8::try_from(secrets.below(256)).unwrap_or_default()).collect());
    Credentials { username, password, totp }
}

/// Makes the tables and fills them.
pub fn fill(db: &mut Connection, seed: u64, flaws: Flaws) -> rusqlite::Result<()> {
    let transaction = db.transaction()?;
    transaction.execute_batch(SCHEMA)?;
    people(&transaction, seed, flaws)?;
    things(&transaction, seed)?;
    history(&transaction, seed)?;
    prices(&transaction, seed)?;
    transaction.commit()
}

fn people(db: &Transaction<'_>, seed: u64, flaws: Flaws) -> rusqlite::Result<()> {
    let mut insert =
        db.prepare("INSERT INTO customers VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13)")?;
    for id in 1..=Staff::Doctor.id() {
        let who = credentials(seed, id);
        let role =
            Staff::ALL.iter().find(|(staff, ..)| staff.id() == id).map_or("customer", |(.., role)| role);
        let mut draw = Draw::of(seed, "person", id);
        let name = format!("{} {}", draw.one(&FIRST), draw.one(&LAST));
        let address =
            format!("{} Street {}, {:05}", draw.one(&STREETS), draw.below(200) + 1, draw.below(99_999));
        let phone = format!("+49 30 {:07}", draw.below(10_000_000));
        let birth = format!("{}-{:02}-{:02}", 1940 + draw.below(65), draw.below(12) + 1, draw.below(28) + 1);
        // BANK-09 (planted): a weak hash of each. The fixed bank hashes slowly, at a person's first sign-in.
        let hash = flaws.has(Flaw::PasswordHashes).then(|| password::weak_hash(&who.password));
        let email = format!("{}@bank.example", who.username);
        let tenant = if id > CUSTOMERS { "bank".to_owned() } else { tenant(id) };
        let risk = draw.below(100);
        let totp = i64::from(who.totp.is_some());
        let note = format!("reviewed by branch {}", draw.below(40));
        insert.execute(params![
            id,
            tenant,
            who.username,
            name,
            email,
            phone,
            address,
            birth,
            role,
            hash,
            totp,
            risk,
            note
        ])?;
    }
    Ok(())
}

/// The tenant of a customer.
fn tenant(id: i64) -> String {
    format!("t-{:04}", (id - 1) / PER_TENANT + 1)
}

/// Two accounts, a card, three payees, a transfer, a note and a health record for each customer.
fn things(db: &Transaction<'_>, seed: u64) -> rusqlite::Result<()> {
    let mut account = db.prepare("INSERT INTO accounts VALUES(?1,?2,?3,?4,?5,'EUR',?6)")?;
    let mut card = db.prepare("INSERT INTO cards VALUES(?1,?1,?2,?3,?4,?5,0)")?;
    let mut payee = db.prepare("INSERT INTO payees(owner, name, iban) VALUES(?1,?2,?3)")?;
    let mut transfer = db.prepare(
        "INSERT INTO transfers(owner, account, to_iban, amount_cents, text, at) VALUES(?1,?2,?3,?4,?5,?6)",
    )?;
    let mut note = db.prepare("INSERT INTO notes(owner, text, at) VALUES(?1,?2,'2026-01-15')")?;
    let mut health = db.prepare("INSERT INTO health_records VALUES(?1,?1,?2,?3,?4,?5)")?;
    for id in 1..=CUSTOMERS {
        let mut draw = Draw::of(seed, "things", id);
        for (number, kind) in [(id * 2 - 1, "current"), (id * 2, "savings")] {
            let cents = draw.below(2_000_000) + 100_000;
            account.execute(params![number, id, tenant(id), iban(number), kind, cents])?;
        }
        let expires = format!("{:02}/{}", draw.below(12) + 1, 27 + draw.below(4));
        let cvv = format!("{:03}", draw.below(1_000));
        card.execute(params![id, id * 2 - 1, card_number(id, draw.below(1_000_000)), cvv, expires])?;
        for _ in 0..3 {
            let other = draw.below(10_000) + 1;
            let name = format!("{} {}", draw.one(&FIRST), draw.one(&LAST));
            payee.execute(params![id, name, iban(other)])?;
        }
        let to = iban(draw.below(10_000) + 1);
        let text = format!("rent {}", draw.one(&STREETS));
        transfer.execute(params![id, id * 2 - 1, to, draw.below(150_000) + 1, text, "2026-01-02"])?;
        note.execute(params![id, format!("please send the {} form again", draw.one(&WORDS))])?;
        let (diagnosis, treatment) = draw.one(&CASES);
        let policy = format!("H{:08}", draw.below(100_000_000));
        health.execute(params![id, policy, diagnosis, treatment, draw.below(500_000) + 1_000])?;
    }
    Ok(())
}

/// What each customer has sent in the months before today: a few payments of usual amounts, so that an unusual one can be
/// told from them.
fn history(db: &Transaction<'_>, seed: u64) -> rusqlite::Result<()> {
    const MONTHS: [&str; 4] = ["2026-02", "2026-03", "2026-04", "2026-05"];
    let mut transfer = db.prepare(
        "INSERT INTO transfers(owner, account, to_iban, amount_cents, text, at) VALUES(?1,?2,?3,?4,?5,?6)",
    )?;
    for month in MONTHS {
        for id in 1..=CUSTOMERS {
            let mut draw = Draw::of(seed, "history", id);
            let (to, usual, day) =
                (iban(draw.below(10_000) + 1), draw.below(120_000) + 2_000, draw.below(28) + 1);
            let mut month_draw = Draw::of(seed, month, id);
            let cents = usual + month_draw.below(usual / 5) - usual / 10;
            let text = format!("{} bill", draw.one(&WORDS));
            transfer.execute(params![id, id * 2 - 1, to, cents, text, format!("{month}-{day:02}")])?;
        }
    }
    Ok(())
}

fn prices(db: &Transaction<'_>, seed: u64) -> rusqlite::Result<()> {
    let mut insert = db.prepare("INSERT INTO prices VALUES(?1,?2,?3,'EUR',?4)")?;
    for id in 1..=PRICES {
        let mut draw = Draw::of(seed, "price", id);
        let name = format!("{} {} plan {id}", draw.one(&WORDS), draw.one(&STREETS).to_lowercase());
        insert.execute(params![id, format!("P-{id:05}"), name, draw.below(20_000)])?;
    }
    Ok(())
}

/// A German IBAN with right check digits (ISO 13616): the rest followed by `DE` as 1314 and 00, modulo 97.
pub fn iban(account: i64) -> String {
    let bban = format!("10020030{account:010}");
    let rest =
        format!("{bban}131400").bytes().fold(0_u32, |rest, digit| (rest * 10 + u32::from(digit - b'0')) % 97);
    format!("DE{:02}{bban}", 98 - rest)
}

/// Sixteen digits with a right Luhn digit.
fn card_number(id: i64, draw: i64) -> String {
    let digits = format!("4532{draw:06}{id:05}");
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(at, digit)| {
            let value = u32::from(digit - b'0') * if at % 2 == 0 { 2 } else { 1 };
            value / 10 + value % 10
        })
        .sum();
    format!("{digits}{}", (10 - sum % 10) % 10)
}

/// SplitMix64 (Steele, Lea and Flood 2014), begun anew for each thing, so that no thing depends on the order of others.
pub struct Draw(u64);

impl Draw {
    pub fn of(seed: u64, what: &str, id: i64) -> Self {
        let name =
            what.bytes().fold(seed, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        let mut draw = Draw(name ^ id.unsigned_abs().wrapping_mul(0x9e37_79b9_7f4a_7c15));
        draw.next();
        draw
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// 0 to `most` - 1.
    pub fn below(&mut self, most: i64) -> i64 {
        i64::try_from(self.next() >> 1).unwrap_or_default().checked_rem(most).unwrap_or_default()
    }

    #[expect(
        clippy::indexing_slicing,
        reason = "INVARIANT: what is drawn is below N, and no array here is empty"
    )]
    pub fn one<T: Copy, const N: usize>(&mut self, of: &[T; N]) -> T {
        const { assert!(N > 0) };
        of[usize::try_from(self.below(i64::try_from(N).unwrap_or(1))).unwrap_or_default()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_right_check_digits() {
        // The example of ISO 13616 for Germany has the same arithmetic: 370400440532013000 has 89.
        let rest = "370400440532013000131400".bytes().fold(0_u32, |r, d| (r * 10 + u32::from(d - b'0')) % 97);
        assert_eq!(98 - rest, 89);
        assert_eq!(iban(1).len(), 22);
        let card = card_number(42, 123_456);
        let sum: u32 = card
            .bytes()
            .rev()
            .enumerate()
            .map(|(at, digit)| {
                let value = u32::from(digit - b'0') * if at % 2 == 0 { 1 } else { 2 };
                value / 10 + value % 10
            })
            .sum();
        assert_eq!((card.len(), sum % 10), (16, 0));
    }

    #[test]
    fn the_same_seed_makes_the_same_people() {
        assert_eq!(credentials(7, 42), credentials(7, 42));
        assert_ne!(credentials(7, 42).password, credentials(8, 42).password);
        let admin = credentials(7, Staff::Admin.id());
        assert_eq!(admin.username, "admin");
        let known = Credentials { totp: Some(b"foobar".to_vec()), ..admin };
        assert_eq!(known.totp_base32().as_deref(), Some("MZXW6YTBOI"), "the vector of RFC 4648 section 10");
    }
}
