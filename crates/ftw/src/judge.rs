//! Whether what was observed is what a test expects.

use bartizan_waf::engine::{Finding, Inspection};
use regex::bytes::Regex;

/// What a test expects of one request.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    /// Rules that have to match.
    pub rules: Vec<u64>,
    /// Rules that must not.
    pub not_rules: Vec<u64>,
    /// What the log has to say.
    pub says: Option<Regex>,
    /// What it must not say.
    pub says_not: Option<Regex>,
    /// The status of the response, one of these; empty where nothing is said of it.
    pub status: Vec<u16>,
    /// The connection ends without a response.
    pub error: bool,
}

/// What came of one request.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// The response's status; `None` where there was none, or nobody was asked.
    pub status: Option<u16>,
    /// Whether the request was refused before any rule saw it.
    pub refused: bool,
    /// The rules that told something.
    pub rules: Vec<u64>,
    /// What they told, as a log of ModSecurity has it.
    pub log: Vec<u8>,
}

impl Observed {
    /// What rules told in process.
    #[must_use]
    pub fn of(inspection: &Inspection) -> Self {
        let mut observed = Observed::default();
        for finding in inspection.findings().iter().filter(|finding| finding.log) {
            observed.add(finding);
        }
        if let Some(error) = inspection.body_error() {
            observed.log.extend(error.bytes());
        }
        observed
    }

    /// Notes what one rule found in process.
    pub fn add(&mut self, finding: &Finding) {
        let (msg, data) = (finding.msg.escape_ascii(), finding.logdata.escape_ascii());
        self.tell(finding.rule, &format!("[msg \"{msg}\"] [data \"{data}\"]"));
    }

    /// Notes what one rule told.
    pub fn tell(&mut self, rule: u64, text: &str) {
        self.rules.push(rule);
        self.log.extend(format!("[id \"{rule}\"] {text}\n").bytes());
    }
}

impl Expected {
    /// Whether a refusal in front of all rules is what is expected: a status of 4xx, or no response at all.
    #[must_use]
    pub fn wants_refusal(&self) -> bool {
        self.error || self.status.iter().any(|status| (400..500).contains(status))
    }

    /// Whether something is expected of the rules.
    #[must_use]
    pub fn asks_rules(&self) -> bool {
        !self.rules.is_empty() || !self.not_rules.is_empty() || self.says.is_some() || self.says_not.is_some()
    }

    /// Whether it came so.
    ///
    /// # Errors
    /// What came otherwise, in one line.
    pub fn judge(&self, observed: &Observed) -> Result<(), String> {
        if observed.refused && self.wants_refusal() {
            return Ok(());
        }
        if self.wants_refusal() && !self.asks_rules() {
            let class = |status: &u16| *status / 100;
            let came =
                observed.status.is_none_or(|came| self.status.iter().any(|s| class(s) == class(&came)));
            return match observed.status {
                Some(_) if came => Ok(()),
                None if self.error => Ok(()),
                Some(status) => Err(format!("a refusal is expected, the status is {status}")),
                None => Err("a refusal is expected, nothing is refused".to_owned()),
            };
        }
        if let Some(came) = observed.status
            && !self.asks_rules()
            && !self.status.is_empty()
            && !self.status.contains(&came)
        {
            return Err(format!("status {:?} is expected, it is {came}", self.status));
        }
        let mut wrong = Vec::new();
        let list = |ids: Vec<u64>| ids.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
        let missing = pick(&self.rules, |id| !observed.rules.contains(id));
        if !missing.is_empty() {
            wrong.push(format!("{} did not match", list(missing)));
        }
        let unwanted = pick(&self.not_rules, |id| observed.rules.contains(id));
        if !unwanted.is_empty() {
            wrong.push(format!("{} matched", list(unwanted)));
        }
        if let Some(pattern) = self.says.as_ref().filter(|pattern| !pattern.is_match(&observed.log)) {
            wrong.push(format!("nothing says `{pattern}`"));
        }
        if let Some(pattern) = self.says_not.as_ref().filter(|pattern| pattern.is_match(&observed.log)) {
            wrong.push(format!("something says `{pattern}`"));
        }
        if wrong.is_empty() {
            return Ok(());
        }
        let told = if observed.rules.is_empty() {
            "no rule matched".to_owned()
        } else {
            format!("these matched: {}", list(observed.rules.clone()))
        };
        Err(format!("{}; {told}", wrong.join("; ")))
    }
}

fn pick(ids: &[u64], which: impl Fn(&u64) -> bool) -> Vec<u64> {
    ids.iter().copied().filter(which).collect()
}
