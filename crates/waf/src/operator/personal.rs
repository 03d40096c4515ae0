//! Numbers that identify people and cards, found by an expression and proved by their check digits: `@verifyCC`,
//! `@verifySSN`, `@verifyCPF`, `@verifySVNR`.

use super::{OperatorContext, pattern::Pattern};

/// How many candidates of one value are checked, so that overlapping candidates cost no quadratic time.
const CANDIDATES: usize = 1024;
/// How many bytes of all candidates of one value are checked, beyond twice its length.
const CANDIDATE_BYTES: usize = 4096;

/// A number and the expression that finds candidates for it.
#[derive(Debug)]
pub(super) struct Personal {
    pattern: Pattern,
    check: fn(&[u8]) -> bool,
}

impl Personal {
    /// The operator of a name, if it is one of these.
    ///
    /// # Errors
    /// An argument that is no expression.
    pub(super) fn compile(name: &str, argument: &[u8]) -> Result<Option<Self>, String> {
        let is = |candidate: &str| name.eq_ignore_ascii_case(candidate);
        let check: fn(&[u8]) -> bool = match () {
            () if is("verifyCC") => card,
            () if is("verifySSN") => united_states,
            () if is("verifyCPF") => brazil,
            () if is("verifySVNR") => austria,
            () => return Ok(None),
        };
        Ok(Some(Self { pattern: Pattern::compile(argument)?, check }))
    }

    /// Whether some match of the expression, overlapping ones included, is such a number.
    #[inline(never)]
    pub(super) fn matches(&self, value: &[u8], context: &mut OperatorContext) -> bool {
        let mut budget = value.len() * 2 + CANDIDATE_BYTES;
        let mut from = 0;
        for _ in 0..CANDIDATES {
            let Some((start, end)) = self.pattern.find_at(value, from, context) else { return false };
            if (self.check)(value.get(start..end).unwrap_or_default()) {
                context.captured(start, end);
                return true;
            }
            match budget.checked_sub(end - start) {
                Some(rest) if start < value.len() => budget = rest,
                _ => return false,
            }
            from = start + 1;
        }
        false
    }
}

/// The digits of a candidate, if there are exactly `N`.
fn digits<const N: usize>(candidate: &[u8]) -> Option<[u32; N]> {
    let mut digits = [0; N];
    let mut count = 0;
    for digit in candidate.iter().filter(|byte| byte.is_ascii_digit()) {
        *digits.get_mut(count)? = u32::from(digit - b'0');
        count += 1;
    }
    (count == N).then_some(digits)
}

/// Payment cards: the check digit of Luhn (ISO/IEC 7812-1, annex B).
fn card(candidate: &[u8]) -> bool {
    let digits =
        candidate.iter().rev().filter(|byte| byte.is_ascii_digit()).map(|digit| u32::from(digit - b'0'));
    let mut count = 0_u32;
    let mut sum = 0_u32;
    for digit in digits {
        let doubled = if count % 2 == 1 { digit * 2 } else { digit };
        sum = (sum + doubled / 10 + doubled % 10) % 10;
        count += 1;
    }
    count > 0 && sum == 0
}

/// Social security numbers of the United States: areas that were given out, no field of zeros, no series.
fn united_states(candidate: &[u8]) -> bool {
    let Some(digits) = digits::<9>(candidate) else { return false };
    let pairs = || digits.iter().zip(digits.iter().skip(1));
    let series = pairs().all(|(left, right)| left + 1 == *right);
    let same = pairs().all(|(left, right)| left == right);
    let [a, b, c, d, e, f, g, h, i] = digits;
    let area = a * 100 + b * 10 + c;
    let (group, serial) = (d + e, f + g + h + i);
    !series && !same && area > 0 && group > 0 && serial > 0 && area < 740 && area != 666
}

/// Individual taxpayer numbers of Brazil (CPF): two check digits modulo 11, no number of one digit repeated.
fn brazil(candidate: &[u8]) -> bool {
    let Some(digits) = digits::<11>(candidate) else { return false };
    let [first, .., tenth, eleventh] = digits;
    let same = digits.iter().all(|digit| *digit == first);
    let series = digits == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0];
    let check = |count: usize, weight: u32| {
        let sum: u32 =
            digits.iter().take(count).zip((2..=weight).rev()).map(|(digit, weight)| digit * weight).sum();
        if sum % 11 < 2 { 0 } else { 11 - sum % 11 }
    };
    !same && !series && check(9, 10) == tenth && check(10, 11) == eleventh
}

/// Social insurance numbers of Austria: the fourth digit checks the others modulo 11.
fn austria(candidate: &[u8]) -> bool {
    let Some(digits) = digits::<10>(candidate) else { return false };
    let [first, _, _, check, ..] = digits;
    let same = digits.iter().all(|digit| *digit == first);
    let series = [[0, 1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 2, 3, 4, 5, 6, 7, 8, 9, 0]].contains(&digits);
    let weights = [3, 7, 9, 0, 5, 8, 4, 2, 1, 6];
    let sum: u32 = digits.iter().zip(weights).map(|(digit, weight)| digit * weight).sum();
    !same && !series && sum % 11 % 10 == check
}
