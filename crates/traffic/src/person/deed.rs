//! Deeds of people as requests: the operations of the bank's contract, as web page, app and programs call them.

use std::{borrow::Cow, sync::Arc};

use bartizan_bank::totp;
use bartizan_model::Timestamp;
use serde_json::{Value, json};

use super::Person;
use crate::{
    device::Form,
    label::{Kind, Label, Part},
    request::Planned,
    words::{FIRST, LAST, NOTES, SUBJECTS, iban, pick},
};

/// Something that a person does, with all that was decided about it: done twice it is the same request.
#[derive(Clone, Debug)]
pub enum Deed {
    SignIn {
        mistyped: bool,
    },
    SignOut,
    Me,
    /// The phone or the e-mail address, by number.
    ChangeMe(bool, u64),
    Accounts,
    Account(u64),
    Statement(u64, (u64, u64)),
    Cards,
    LockCard,
    Transfers {
        limit: u64,
        offset: u64,
    },
    Transfer {
        key: u64,
        savings: bool,
        to: u64,
        cents: u64,
        subject: u64,
    },
    /// One that the person made, by its id.
    TransferMade(u64),
    /// What was sent and received.
    History,
    Payees,
    Payee(u64),
    RenamePayee {
        id: u64,
        name: u64,
    },
    AddPayee {
        name: u64,
        to: u64,
    },
    RemovePayee(u64),
    Search(u64),
    Notes,
    AddNote(u64),
    Documents,
    Document(u64),
    Upload {
        name: u64,
        kind: u64,
    },
    RemoveDocument(u64),
    Prices {
        limit: u64,
        offset: u64,
    },
    Price(u64),
    HealthRecords,
    HealthRecord,
    MakeReport(u64),
    Report(u64),
    Webhooks,
    AddWebhook(u64),
    Deliveries(u64),
    RemoveWebhook(u64),
    /// A bookmark of a payee (or document) that is gone.
    Stale(bool, u64),
}

impl Deed {
    /// Whether doing it again changes nothing.
    pub const fn is_reading(&self) -> bool {
        !matches!(
            self,
            Deed::SignIn { .. }
                | Deed::SignOut
                | Deed::ChangeMe(..)
                | Deed::LockCard
                | Deed::Transfer { .. }
                | Deed::AddPayee { .. }
                | Deed::Payee(_)
                | Deed::RenamePayee { .. }
                | Deed::RemovePayee(_)
                | Deed::AddNote(_)
                | Deed::Upload { .. }
                | Deed::Document(_)
                | Deed::RemoveDocument(_)
                | Deed::MakeReport(_)
                | Deed::AddWebhook(_)
                | Deed::Deliveries(_)
                | Deed::RemoveWebhook(_)
        )
    }
}

/// What differs between requests.
struct Draft {
    operation: &'static str,
    method: &'static str,
    target: Cow<'static, str>,
    body: Option<(&'static str, Vec<u8>)>,
    object: Option<String>,
    page: &'static str,
    expected: u16,
}

impl Draft {
    fn get(operation: &'static str, target: impl Into<Cow<'static, str>>) -> Draft {
        Draft {
            operation,
            method: "GET",
            target: target.into(),
            body: None,
            object: None,
            page: "",
            expected: 200,
        }
    }

    fn send(
        operation: &'static str,
        method: &'static str,
        target: impl Into<Cow<'static, str>>,
        expected: u16,
    ) -> Draft {
        Draft { method, expected, ..Draft::get(operation, target) }
    }

    fn json(self, body: &Value) -> Draft {
        Draft { body: Some(("application/json", body.to_string().into_bytes())), ..self }
    }

    fn about(self, object: String) -> Draft {
        Draft { object: Some(object), ..self }
    }

    fn on(self, page: &'static str) -> Draft {
        Draft { page, ..self }
    }
}

/// The request of a deed; what it changes of the person is noted.
pub fn request(person: &mut Person, deed: &Deed, now: Timestamp) -> Option<Planned> {
    let draft = match deed {
        Deed::SignIn { mistyped } => sign_in(person, *mistyped, now),
        Deed::SignOut | Deed::Me | Deed::ChangeMe(..) => profile(person, deed),
        Deed::Transfers { .. }
        | Deed::Transfer { .. }
        | Deed::TransferMade(_)
        | Deed::History
        | Deed::Search(_) => payments(person, deed),
        Deed::Webhooks | Deed::AddWebhook(_) | Deed::Deliveries(_) | Deed::RemoveWebhook(_) => {
            webhooks(person, deed)
        }
        Deed::Payees
        | Deed::Payee(_)
        | Deed::AddPayee { .. }
        | Deed::RenamePayee { .. }
        | Deed::RemovePayee(_) => payees(deed),
        Deed::Documents | Deed::Document(_) | Deed::Upload { .. } | Deed::RemoveDocument(_) => {
            documents(deed)
        }
        _ => others(person, deed),
    };
    let mut planned = dress(person, draft)?;
    if let Deed::Transfer { key, cents, .. } = deed {
        person.sent_cents += cents;
        let name = format!("\"{}-{key}\"", person.id);
        planned.fields.push(("Idempotency-Key".into(), name.into()));
    }
    if let Deed::AddNote(_) = deed {
        person.notes += 1;
    }
    Some(planned)
}

fn sign_in(person: &mut Person, mistyped: bool, now: Timestamp) -> Draft {
    let mut password = person.credentials.password.clone();
    if mistyped {
        // A letter left out, or the caps lock.
        if person.draw.percent(70) {
            password.pop();
        } else {
            password.make_ascii_uppercase();
        }
    }
    let username = &person.credentials.username;
    let code = person.credentials.totp.as_ref().map(|secret| totp(secret, now));
    if code.is_some() && !mistyped {
        person.used_step = now.seconds() / 30;
    }
    let of_program = person.connection.as_ref().is_some_and(|connection| connection.device.form == Form::Sdk);
    let draft = if of_program {
        // Programs speak OAuth 2.0. Nothing in names and passwords of the bank needs to be encoded.
        let mut form = format!("grant_type=password&username={username}&password={password}");
        if let Some(code) = code {
            form.push_str("&totp=");
            form.push_str(&code);
        }
        let draft = Draft::send("token", "POST", "/token", if mistyped { 400 } else { 200 });
        Draft { body: Some(("application/x-www-form-urlencoded", form.into_bytes())), ..draft }
    } else {
        let mut body = json!({ "username": username, "password": password });
        if let (Some(code), Some(object)) = (code, body.as_object_mut()) {
            object.insert("totp".to_owned(), code.into());
        }
        Draft::send("login", "POST", "/v1/login", if mistyped { 401 } else { 200 }).json(&body).on("/sign-in")
    };
    draft.about(format!("customer:{}", person.id))
}

fn profile(person: &Person, deed: &Deed) -> Draft {
    match deed {
        Deed::SignOut => Draft::send("logout", "POST", "/v1/logout", 204),
        Deed::ChangeMe(phone, number) => {
            let body = if *phone {
                json!({ "phone": format!("+49 30 {number:07}") })
            } else {
                json!({ "email": format!("{}.{}@mail.example", person.credentials.username, number % 100) })
            };
            Draft::send("changeMe", "PATCH", "/v1/customers/me", 200).json(&body).on("/profile")
        }
        _ => Draft::get("getMe", "/v1/customers/me"),
    }
}

fn payments(person: &Person, deed: &Deed) -> Draft {
    match deed {
        Deed::Transfer { savings, to, cents, subject, .. } => {
            let account = person.id.unsigned_abs() * 2 - u64::from(!savings);
            let body = json!({
                "account": account,
                "to_iban": iban(*to),
                "amount_cents": cents,
                "text": pick(&SUBJECTS, *subject),
            });
            let draft = Draft::send("makeTransfer", "POST", "/v1/transfers", 201).json(&body);
            draft.about(format!("account:{account}")).on("/transfers/new")
        }
        Deed::Search(word) => {
            let word = pick(&SUBJECTS, *word).split(' ').next().unwrap_or("rent");
            Draft::get("search", format!("/v1/search?q={word}")).on("/transfers")
        }
        Deed::Transfers { limit, offset } => {
            Draft::get("listTransfers", format!("/v1/transfers?limit={limit}&offset={offset}"))
                .on("/transfers")
        }
        Deed::TransferMade(id) => {
            let draft = Draft::get("getTransfer", format!("/v1/transfers/{id}"));
            draft.about(format!("transfer:{id}")).on("/transfers")
        }
        _ => {
            let draft =
                Draft::get("customerTransfers", format!("/v1/customers/{}/transfers?limit=50", person.id));
            draft.about(format!("customer:{}", person.id)).on("/transfers")
        }
    }
}

fn webhooks(person: &Person, deed: &Deed) -> Draft {
    match deed {
        Deed::AddWebhook(number) => {
            let url = format!("https://hooks.customer-{}.example/bank/{number}", person.id);
            let body = json!({ "url": url, "events": ["transfer.received"] });
            Draft::send("addWebhook", "POST", "/v1/webhooks", 201).json(&body)
        }
        Deed::Deliveries(id) => {
            let draft = Draft::get("listDeliveries", format!("/v1/webhooks/{id}/deliveries"));
            draft.about(format!("webhook:{id}"))
        }
        Deed::RemoveWebhook(id) => {
            let draft = Draft::send("removeWebhook", "DELETE", format!("/v1/webhooks/{id}"), 204);
            draft.about(format!("webhook:{id}"))
        }
        _ => Draft::get("listWebhooks", "/v1/webhooks"),
    }
}

fn payees(deed: &Deed) -> Draft {
    let draft = match deed {
        Deed::Payee(id) => Draft::get("getPayee", format!("/v1/payees/{id}")).about(format!("payee:{id}")),
        Deed::RemovePayee(id) => {
            Draft::send("removePayee", "DELETE", format!("/v1/payees/{id}"), 204).about(format!("payee:{id}"))
        }
        Deed::RenamePayee { id, name } => {
            let body = json!({ "name": format!("{} {}", pick(&FIRST, *name), pick(&LAST, name / 16)) });
            let draft = Draft::send("renamePayee", "PATCH", format!("/v1/payees/{id}"), 204).json(&body);
            draft.about(format!("payee:{id}"))
        }
        Deed::AddPayee { name, to } => {
            let name = format!("{} {}", pick(&FIRST, *name), pick(&LAST, name / 16));
            let body = json!({ "name": name, "iban": iban(*to) });
            Draft::send("addPayee", "POST", "/v1/payees", 201).json(&body)
        }
        _ => Draft::get("listPayees", "/v1/payees"),
    };
    draft.on("/payees")
}

fn documents(deed: &Deed) -> Draft {
    let draft = match deed {
        Deed::Document(id) => {
            Draft::get("getDocument", format!("/v1/documents/{id}")).about(format!("document:{id}"))
        }
        Deed::RemoveDocument(id) => {
            let draft = Draft::send("removeDocument", "DELETE", format!("/v1/documents/{id}"), 204);
            draft.about(format!("document:{id}"))
        }
        Deed::Upload { name, kind } => {
            let target = format!("/v1/documents?name={}-{}", pick(&SUBJECTS, *name).replace(' ', "-"), name);
            let draft = Draft::send("uploadDocument", "POST", target, 201);
            if *kind == 0 {
                let text = "%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n";
                Draft { body: Some(("application/pdf", text.as_bytes().to_vec())), ..draft }
            } else {
                let text = format!("{}\n", pick(&NOTES, *name));
                Draft { body: Some(("text/plain", text.into_bytes())), ..draft }
            }
        }
        _ => Draft::get("listDocuments", "/v1/documents"),
    };
    draft.on("/documents")
}

fn others(person: &Person, deed: &Deed) -> Draft {
    let id = person.id;
    match deed {
        Deed::Account(account) => {
            let draft = Draft::get("getAccount", format!("/v1/accounts/{account}"));
            draft.about(format!("account:{account}")).on("/accounts")
        }
        Deed::Statement(account, (year, month)) => {
            let target = format!("/v1/accounts/{account}/statements/{year:04}-{month:02}");
            Draft::get("getStatement", target).about(format!("account:{account}")).on("/statements")
        }
        Deed::Cards => Draft::get("listCards", "/v1/cards").on("/cards"),
        Deed::LockCard => {
            let draft = Draft::send("lockCard", "POST", format!("/v1/cards/{id}/lock"), 204);
            draft.about(format!("card:{id}")).on("/cards")
        }
        Deed::Notes => Draft::get("listNotes", "/v1/notes").on("/support"),
        Deed::AddNote(number) => {
            let text = format!("{} ({})", pick(&NOTES, *number), pick(&SUBJECTS, number >> 8));
            Draft::send("addNote", "POST", "/v1/notes", 201).json(&json!({ "text": text })).on("/support")
        }
        Deed::Prices { limit, offset } => {
            Draft::get("listPrices", format!("/v1/prices?limit={limit}&offset={offset}")).on("/prices")
        }
        Deed::Price(price) => Draft::get("getPrice", format!("/v1/prices/{price}"))
            .about(format!("price:{price}"))
            .on("/prices"),
        Deed::HealthRecords => Draft::get("listHealthRecords", "/v1/health-records").on("/insurance"),
        Deed::HealthRecord => {
            let draft = Draft::get("getHealthRecord", format!("/v1/health-records/{id}"));
            draft.about(format!("record:{id}")).on("/insurance")
        }
        Deed::MakeReport(name) => {
            let body = json!({ "name": format!("year-{}", 2000 + name) });
            Draft::send("makeReport", "POST", "/v1/reports", 201).json(&body).on("/reports")
        }
        Deed::Report(name) => {
            Draft::get("getReport", format!("/v1/reports/year-{}", 2000 + name)).on("/reports")
        }
        Deed::Stale(true, gone) => {
            Draft::send("getPayee", "GET", format!("/v1/payees/{gone}"), 404).on("/payees")
        }
        Deed::Stale(false, gone) => {
            Draft::send("getDocument", "GET", format!("/v1/documents/{gone}"), 404).on("/documents")
        }
        _ => Draft::get("listAccounts", "/v1/accounts").on("/accounts"),
    }
}

/// The request with what the person's device and session add to it.
fn dress(person: &Person, draft: Draft) -> Option<Planned> {
    let connection = Arc::clone(person.connection.as_ref()?);
    let mut fields: Vec<(Cow<'static, str>, Cow<'static, str>)> = Vec::with_capacity(6);
    let signs_in = matches!(draft.operation, "login" | "token");
    if let Some(token) = person.token.as_ref().filter(|_| !signs_in) {
        fields.push(("Authorization".into(), format!("Bearer {}", token.text).into()));
    }
    if connection.device.form == Form::Browser {
        let site = format!("https://{}", person.world.settings.host);
        fields.push(("Referer".into(), format!("{site}{}", draft.page).into()));
        if draft.method != "GET" {
            fields.push(("Origin".into(), site.into()));
        }
        if let Some(cookie) = person.cookie.as_ref().filter(|_| !signs_in) {
            fields.push(("Cookie".into(), cookie.clone().into()));
        }
    }
    let body = draft.body.map(|(media, body)| {
        fields.push(("Content-Type".into(), media.into()));
        body
    });
    // Browsers and most libraries say that a request of these methods has no body.
    let body = body.or_else(|| (draft.method == "POST").then(Vec::new));
    Some(Planned {
        connection,
        method: draft.method,
        target: draft.target.into_owned(),
        fields,
        body,
        label: Label {
            actor: Arc::clone(&person.name),
            kind: Kind::Person,
            part: Part::Use,
            drill: None,
            flaw: None,
            operation: Some(draft.operation),
            principal: Some(person.id),
            object: draft.object,
            victim: None,
            expected: Some(draft.expected),
        },
        foreseen: draft.expected,
    })
}

impl Person {
    /// The accounts that are looked at: mostly the current one, sometimes both.
    pub fn some_accounts(&mut self) -> Vec<u64> {
        let savings = self.id.unsigned_abs() * 2;
        match self.draw.below(100) {
            0..=59 => vec![savings - 1],
            60..=74 => vec![savings],
            _ => vec![savings - 1, savings],
        }
    }
}
