//! Tokens that nobody issued, and tokens that should have ended.

use bartizan_model::Timestamp;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use serde_json::{Value, json};

use super::attacker::{Attacker, Behaviour, Credential, Shot};
use crate::{
    request::Answer,
    token::{self, unsigned},
};

/// Signs in once and makes other tokens of the one that it got.
#[derive(Default)]
pub struct Forging {
    at: u64,
}

impl Behaviour for Forging {
    fn aim(&mut self, attacker: &mut Attacker, now: Timestamp) -> Option<Shot> {
        let Some(own) = attacker.token.clone() else {
            return Some(Shot::get("/v1/customers/me").on("getMe").groundwork());
        };
        let variant = self.at;
        self.at += 1;
        let victim = attacker.account % 4_990 + 1 + i64::try_from(attacker.draw.below(9)).unwrap_or_default();
        let value = forged(attacker, &own, variant, victim, now)?;
        let (operation, target) = match variant % 3 {
            0 => ("listAccounts", "/v1/accounts"),
            1 => ("getMe", "/v1/customers/me"),
            _ => ("statistics", "/v1/admin/statistics"),
        };
        let shot = Shot::get(target).on(operation).object(format!("customer:{victim}")).victim(victim);
        Some(shot.with(Credential::Value(value, None)).foreseen(401))
    }
}

/// The value of `Authorization` of one variant.
fn forged(attacker: &Attacker, own: &str, variant: u64, victim: i64, now: Timestamp) -> Option<String> {
    let (header, mut claims) = (token::header(own)?, token::read(own)?);
    let (signed, signature) = own.rsplit_once('.')?;
    let set = |claims: &mut Value, name: &str, value: Value| {
        if let Some(claims) = claims.as_object_mut() {
            claims.insert(name.to_owned(), value);
        }
    };
    let foreign = &attacker.world.foreign;
    let altered = |claims: &Value| format!("{}.{signature}", unsigned(&header, claims));
    let token = match variant % 16 {
        0 => {
            set(&mut claims, "sub", victim.to_string().into());
            format!("{}.", unsigned(&json!({ "alg": "none", "typ": "JWT" }), &claims))
        }
        1 => {
            set(&mut claims, "role", "admin".into());
            altered(&claims)
        }
        2 => {
            set(&mut claims, "sub", victim.to_string().into());
            altered(&claims)
        }
        3 => {
            set(&mut claims, "exp", (now.seconds() + 31_536_000).into());
            altered(&claims)
        }
        // The right key id, a wrong key.
        4 => foreign.sign_with(&header, &claims),
        5 => {
            set(&mut claims, "role", "admin".into());
            foreign.sign_with(&json!({ "alg": "EdDSA", "typ": "JWT", "kid": "traffic-2" }), &claims)
        }
        6 => {
            set(&mut claims, "exp", (now.seconds() - 3_600).into());
            set(&mut claims, "iat", (now.seconds() - 4_500).into());
            attacker.world.issuer.sign(&claims)
        }
        7 => format!("{}.{signature}", unsigned(&json!({ "alg": "nOnE", "typ": "JWT" }), &claims)),
        8 => signed.to_owned(),
        9 => format!("{signed}."),
        10 => {
            // A key that the token brings itself.
            let jwk = foreign.jwks().get("keys")?.get(0)?.clone();
            foreign.sign_with(&json!({ "alg": "EdDSA", "typ": "JWT", "jwk": jwk }), &claims)
        }
        11 => {
            let header = json!({ "alg": "EdDSA", "typ": "JWT", "kid": "x", "jku": "https://keys.attacker.example/jwks" });
            foreign.sign_with(&header, &claims)
        }
        12 => {
            let header = json!({ "alg": "HS256", "typ": "JWT", "kid": "../../../../dev/null" });
            format!("{}.{}", unsigned(&header, &claims), BASE64.encode([0x5c_u8; 32]))
        }
        13 => {
            set(&mut claims, "aud", "another".into());
            foreign.sign(&claims)
        }
        14 => {
            // The last letter of the signature differs.
            let mut token = own.to_owned();
            let last = if token.pop() == Some('A') { 'Q' } else { 'A' };
            token.push(last);
            // Six bits of it count for two letters: it is made shorter as well, so that it is surely another.
            let at = token.len().saturating_sub(9);
            token.remove(at);
            token
        }
        _ => return Some(format!("Bearer {own}{own}")),
    };
    Some(format!("Bearer {token}"))
}

/// Signs in, signs out, and goes on with the token.
#[derive(Default)]
pub struct LoggedOut {
    ended: Option<String>,
    uses: u32,
}

impl Behaviour for LoggedOut {
    fn aim(&mut self, attacker: &mut Attacker, _: Timestamp) -> Option<Shot> {
        if let Some(token) = &self.ended
            && self.uses < 6
        {
            self.uses += 1;
            let (operation, target) = match self.uses % 3 {
                0 => ("listCards", "/v1/cards"),
                1 => ("listAccounts", "/v1/accounts"),
                _ => ("listTransfers", "/v1/transfers"),
            };
            let credential = Credential::Value(format!("Bearer {token}"), Some(attacker.account));
            return Some(Shot::get(target).on(operation).with(credential));
        }
        // An ordinary sign-out, before which the attacker is signed in.
        self.ended = None;
        self.uses = 0;
        Some(Shot::new("POST", "/v1/logout").on("logout").groundwork().foreseen(204))
    }

    fn hear(&mut self, attacker: &mut Attacker, answer: Option<&Answer>, _: Timestamp) {
        if self.ended.is_none() && answer.is_some_and(Answer::is_success) {
            self.ended = attacker.token.take().map(|token| token.to_string());
        }
    }
}
