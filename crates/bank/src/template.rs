//! BANK-06 (planted): a small template language, evaluated in what customers write.

use crate::bank::Bank;

/// Expressions evaluated in one text; the rest stays as it is.
const MAX_EXPRESSIONS: usize = 16;

/// Replaces each `{{..}}`: products and sums of whole numbers, and names of the bank's own configuration.
pub fn render(bank: &Bank, text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    for _ in 0..MAX_EXPRESSIONS {
        let Some((before, after)) = rest.split_once("{{") else { break };
        let Some((expression, after)) = after.split_once("}}") else { break };
        out.push_str(before);
        out.push_str(&evaluate(bank, expression.trim()));
        rest = after;
    }
    out.push_str(rest);
    out
}

fn evaluate(bank: &Bank, expression: &str) -> String {
    match expression {
        "config.secret" => bank.secret.clone(),
        "config.seed" => bank.seed.to_string(),
        "config.reports" => bank.reports.path().display().to_string(),
        _ => sum(expression).map_or_else(|| format!("{{{{{expression}}}}}"), |number| number.to_string()),
    }
}

fn sum(expression: &str) -> Option<i64> {
    expression.split('+').try_fold(0_i64, |sum, product| {
        let factors =
            product.split('*').try_fold(1_i64, |all, factor| all.checked_mul(factor.trim().parse().ok()?))?;
        sum.checked_add(factors)
    })
}
