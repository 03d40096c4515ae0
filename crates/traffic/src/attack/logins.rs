//! Attacks on signing in: stuffing, guessing, probing for names, and reset tokens.

use bartizan_bank::{CUSTOMERS, Staff, credentials};
use bartizan_model::Timestamp;
use serde_json::json;

use super::attacker::{Attacker, Behaviour, Credential, Shot};
use crate::request::Answer;

/// Passwords that are tried first everywhere.
const COMMON: [&str; 24] = [
    "123456",
    "password",
    "123456789",
    "12345678",
    "qwerty",
    "111111",
    "12345",
    "letmein",
    "welcome",
    "monkey",
    "dragon",
    "football",
    "iloveyou",
    "admin",
    "sunshine",
    "princess",
    "secret",
    "summer2025",
    "winter2026",
    "Passw0rd!",
    "qwertz",
    "bank2026",
    "changeme",
    "hunter2",
];

/// The sign-in of somebody.
fn login(username: &str, password: &str) -> Shot {
    Shot::new("POST", "/v1/login")
        .json(&json!({ "username": username, "password": password }))
        .on("login")
        .object(format!("username:{username}"))
        .anonymous()
}

/// Tries a leaked list of names and passwords, each once, from ever new addresses.
#[derive(Default)]
pub struct Stuffing {
    at: u64,
    /// Whom the last attempt was for, where its password was right.
    tried: Option<i64>,
    /// A token that was stolen, and whose: it is used once to look.
    loot: Option<(String, i64)>,
}

impl Behaviour for Stuffing {
    fn aim(&mut self, attacker: &mut Attacker, _: Timestamp) -> Option<Shot> {
        if let Some((token, victim)) = self.loot.take() {
            let look = Shot::get("/v1/accounts").on("listAccounts").victim(victim);
            let look = look.object(format!("customer:{victim}"));
            return Some(look.with(Credential::Value(format!("Bearer {token}"), Some(victim))));
        }
        if attacker.is_fleet() {
            attacker.switch();
        }
        self.at += 1;
        let seed = attacker.world.settings.seed;
        let id = i64::try_from(attacker.draw.below(CUSTOMERS.unsigned_abs())).unwrap_or_default() + 1;
        let of = credentials(seed, id);
        let other = attacker.draw.bits() % 10_000;
        if attacker.draw.percent(attacker.plan.valid_percent) {
            self.tried = Some(id);
            let foreseen = if of.totp.is_some() { 401 } else { 200 };
            return Some(login(&of.username, &of.password).victim(id).foreseen(foreseen));
        }
        self.tried = None;
        let stale = format!("{}{other}", attacker.draw.one(&COMMON));
        Some(if attacker.draw.percent(45) {
            // Somebody of another site who has no account here.
            login(&format!("user{}@mail.example", self.at * 7 + other), &stale).foreseen(404)
        } else {
            login(&of.username, &stale).victim(id).foreseen(401)
        })
    }

    fn hear(&mut self, _: &mut Attacker, answer: Option<&Answer>, _: Timestamp) {
        if let (Some(victim), Some(answer)) = (self.tried.take(), answer.filter(|answer| answer.is_success()))
        {
            let body = answer.json().unwrap_or_default();
            let token = body.get("access_token").and_then(serde_json::Value::as_str);
            self.loot = token.map(|token| (token.to_owned(), victim));
        }
    }
}

/// Tries many passwords of one name, or one password of many names.
pub struct Guessing {
    victim: i64,
    at: usize,
}

impl Guessing {
    pub fn new(attacker: &Attacker) -> Self {
        let staff = [Staff::Admin.id(), Staff::Clerk.id(), Staff::Doctor.id()];
        let at = usize::try_from(attacker.plan.instance).unwrap_or_default();
        // Every other attacker is after a customer: one who is not about, so that locking them out hurts nobody.
        let victim = match staff.get(at % 6) {
            Some(id) => *id,
            None => attacker.accomplice(7),
        };
        Guessing { victim, at: 0 }
    }
}

impl Behaviour for Guessing {
    fn aim(&mut self, attacker: &mut Attacker, _: Timestamp) -> Option<Shot> {
        let name = credentials(attacker.world.settings.seed, self.victim).username;
        self.at += 1;
        let word = COMMON.get(self.at % COMMON.len()).copied().unwrap_or_default();
        let guess = if self.at < COMMON.len() { word.to_owned() } else { format!("{word}{}", self.at) };
        Some(login(&name, &guess).victim(self.victim).foreseen(401))
    }
}

/// Asks which names exist, by what a sign-in or a forgotten password is answered.
#[derive(Default)]
pub struct NameProbing {
    at: u64,
}

impl Behaviour for NameProbing {
    fn aim(&mut self, attacker: &mut Attacker, _: Timestamp) -> Option<Shot> {
        self.at += 1;
        let id = i64::try_from(attacker.draw.below(CUSTOMERS.unsigned_abs())).unwrap_or_default() + 1;
        let exists = attacker.draw.percent(30);
        let name = if exists {
            credentials(attacker.world.settings.seed, id).username
        } else {
            // The pattern of names is known; the number is not.
            let guess = credentials(attacker.world.settings.seed, id).username;
            format!("{}.{}", guess.rsplit_once('.').map_or("ada.abel", |(name, _)| name), 5_100 + self.at)
        };
        let shot = login(&name, "x").foreseen(if exists { 401 } else { 404 });
        Some(if exists { shot.victim(id) } else { shot })
    }
}

/// Asks for a reset token in the name of another and guesses it: the id and the second.
pub struct ResetGuessing {
    victim: i64,
    asked: Option<u64>,
    at: u64,
    victims: u64,
}

impl ResetGuessing {
    pub fn new(attacker: &Attacker) -> Self {
        ResetGuessing { victim: attacker.accomplice(9), asked: None, at: 0, victims: 0 }
    }

    /// Goes on to the next victim.
    fn turn(&mut self, attacker: &Attacker) {
        self.victims += 1;
        self.at = 0;
        self.asked = None;
        self.victim = attacker.accomplice(9 + self.victims * 1_000);
    }
}

impl Behaviour for ResetGuessing {
    fn aim(&mut self, attacker: &mut Attacker, now: Timestamp) -> Option<Shot> {
        let name = credentials(attacker.world.settings.seed, self.victim).username;
        let object = format!("username:{name}");
        let shot = match self.asked {
            None => {
                self.asked = Some(now.seconds());
                let body = json!({ "username": name });
                Shot::new("POST", "/v1/password/forgot").json(&body).on("forgotPassword").foreseen(202)
            }
            Some(second) => {
                self.at += 1;
                let second = (second + self.at).saturating_sub(1);
                let token = format!("{}-{second}", self.victim);
                let body = json!({ "username": name, "token": token, "password": "taken over 2026" });
                // Five wrong tokens are taken of a name; then it is asked for again.
                if self.at >= 4 {
                    let (object, victim) = (object, self.victim);
                    self.turn(attacker);
                    let shot = Shot::new("POST", "/v1/password/reset").json(&body).on("resetPassword");
                    return Some(shot.foreseen(400).object(object).victim(victim).anonymous());
                }
                // Asked for and guessed within the same second, the first guess is right.
                let foreseen = if self.at == 1 { 204 } else { 400 };
                Shot::new("POST", "/v1/password/reset").json(&body).on("resetPassword").foreseen(foreseen)
            }
        };
        Some(shot.object(object).victim(self.victim).anonymous())
    }

    fn hear(&mut self, attacker: &mut Attacker, answer: Option<&Answer>, _: Timestamp) {
        if answer.is_some_and(|answer| answer.status == 204) {
            // Taken over.
            self.turn(attacker);
        }
    }
}
