//! The sample bank as a process of the drill's own, and what the drill's people and thieves do there.

use std::{net::SocketAddr, process::Command, time::Duration};

use anyhow::{Context, Result};
use bartizan_bank::{credentials, totp};
use bartizan_testkit::{Process, free_port, process::loopback};
use serde_json::{Value, json};

use crate::{
    Stage,
    client::{ask_plain, expect, request},
};

/// The bank fills its database before it listens.
const START: Duration = Duration::from_secs(60);

/// The bank's operations that nobody has a token for yet, as a line of a policy.
pub const SIGN_IN: &str = "operations: [\
    { match: POST /v1/login, identity: { anonymous: allow } }, \
    { match: POST /token, identity: { anonymous: allow } }, \
    { match: POST /v1/password/forgot, identity: { anonymous: allow } }, \
    { match: POST /v1/password/reset, identity: { anonymous: allow } }]\n";

/// The bank. Dropping it ends the process.
pub struct Bank {
    process: Process,
    /// Where it listens, in clear, on loopback.
    pub address: SocketAddr,
    seed: u64,
}

/// A customer who has signed in.
#[derive(Clone, Debug)]
pub struct Customer {
    /// The token.
    pub token: String,
    /// The id of an account that holds money.
    pub account: i64,
    /// Its IBAN.
    pub iban: String,
}

/// A transfer as the bank booked it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Booked {
    /// Who got it.
    pub to: String,
    /// How much.
    pub cents: i64,
    /// The text that came with it.
    pub text: String,
}

impl Bank {
    /// Starts the build without flaws: what goes wrong with it goes wrong on the way.
    ///
    /// # Errors
    /// It did not begin to listen.
    pub fn start(stage: &Stage) -> Result<Self> {
        Self::build(stage, "--fixed")
    }

    /// Starts the build with all planted flaws, for attacks on what a gateway has to make up for.
    ///
    /// # Errors
    /// It did not begin to listen.
    pub fn start_vulnerable(stage: &Stage) -> Result<Self> {
        Self::build(stage, "--vulnerable")
    }

    fn build(stage: &Stage, build: &str) -> Result<Self> {
        let address = loopback(free_port());
        let mut command = Command::new(&stage.options.binary);
        command.args(["sample", build, "--seed", &stage.options.seed.to_string()]);
        command.args(["--listen", &address.to_string()]).current_dir(stage.folder("bank")?);
        // What it leaves when it is ended by force goes with the stage.
        command.env("TMPDIR", stage.folder("temporary")?);
        let mut process = Process::start("bartizan sample", &mut command)?;
        process.wait_for_port(address.port(), START)?;
        Ok(Bank { process, address, seed: stage.options.seed })
    }

    /// The process.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// The process, to be ended by force.
    pub fn process_mut(&mut self) -> &mut Process {
        &mut self.process
    }

    /// What a customer signs in with, as JSON; `id` is not divisible by four, whose owners need a code.
    #[must_use]
    pub fn password(&self, id: i64) -> String {
        let who = credentials(self.seed, id);
        json!({ "username": who.username, "password": who.password }).to_string()
    }

    /// A token of somebody who signs in directly at the bank: with a code besides, where that is staff.
    ///
    /// # Errors
    /// The bank refused, or the stage's bounds are used up.
    pub fn token(&self, stage: &Stage, id: i64) -> Result<String> {
        let who = credentials(self.seed, id);
        let code = who.totp.map(|secret| totp(&secret, stage.options.clock.now()));
        let body = json!({ "username": who.username, "password": who.password, "totp": code }).to_string();
        let login = request("POST", "/v1/login", "bank.test", None, Some(&body));
        let reply = ask_plain(stage, self.address, &login)?;
        expect(&reply, 200, "the sign-in at the bank")?;
        text(&reply.json(), "access_token")
    }

    /// Signs a customer in, directly at the bank.
    ///
    /// # Errors
    /// The bank refused, or the stage's bounds are used up.
    pub fn sign_in(&self, stage: &Stage, id: i64) -> Result<Customer> {
        let token = self.token(stage, id)?;
        let accounts = self.get(stage, "/v1/accounts", &token)?;
        let richest = accounts.as_array().into_iter().flatten().max_by_key(|a| number(a, "balance_cents"));
        let account = richest.context("the customer has no account")?;
        Ok(Customer { token, account: number(account, "id"), iban: text(account, "iban")? })
    }

    /// The transfers of a customer, the newest first, directly from the bank: the truth.
    ///
    /// # Errors
    /// The bank refused, or the stage's bounds are used up.
    pub fn booked(&self, stage: &Stage, customer: &Customer) -> Result<Vec<Booked>> {
        let list = self.get(stage, "/v1/transfers?limit=100", &customer.token)?;
        let booked = |line: &Value| {
            let (to, text) = (text(line, "to_iban")?, text(line, "text")?);
            Ok(Booked { to, cents: number(line, "amount_cents"), text })
        };
        list.as_array().context("no list of transfers")?.iter().map(booked).collect()
    }

    fn get(&self, stage: &Stage, target: &str, token: &str) -> Result<Value> {
        let reply = ask_plain(stage, self.address, &request("GET", target, "bank.test", Some(token), None))?;
        expect(&reply, 200, target)?;
        Ok(reply.json())
    }
}

impl Customer {
    /// A transfer as JSON.
    #[must_use]
    pub fn transfer(&self, to: &str, cents: i64, text: &str) -> String {
        json!({ "account": self.account, "to_iban": to, "amount_cents": cents, "text": text }).to_string()
    }
}

fn text(value: &Value, field: &str) -> Result<String> {
    let text = value.get(field).and_then(Value::as_str);
    Ok(text.with_context(|| format!("the bank's answer has no `{field}`"))?.to_owned())
}

fn number(value: &Value, field: &str) -> i64 {
    value.get(field).and_then(Value::as_i64).unwrap_or_default()
}
