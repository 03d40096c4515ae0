//! Licence expressions, as far as package metadata uses them: names, `AND`, `OR` (also written `/`), `WITH`, brackets.

/// Whether the expression can be satisfied with the allowed licences alone. What cannot be read is not allowed.
#[must_use]
pub fn allowed(expression: &str, allow: &[String]) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut parser = Parser { words: &words, allow };
    parser.either().is_some_and(|fine| fine && parser.words.is_empty())
}

struct Parser<'a> {
    words: &'a [&'a str],
    allow: &'a [String],
}

impl Parser<'_> {
    fn either(&mut self) -> Option<bool> {
        let mut fine = self.both()?;
        while self.take("OR") {
            fine |= self.both()?;
        }
        Some(fine)
    }

    fn both(&mut self) -> Option<bool> {
        let mut fine = self.one()?;
        while self.take("AND") {
            fine &= self.one()?;
        }
        Some(fine)
    }

    fn one(&mut self) -> Option<bool> {
        if self.take("(") {
            let fine = self.either()?;
            return self.take(")").then_some(fine);
        }
        let mut name = (*self.next()?).to_owned();
        if self.take("WITH") {
            name = format!("{name} WITH {}", self.next()?);
        }
        Some(self.allow.contains(&name))
    }

    fn next(&mut self) -> Option<&str> {
        let (first, rest) = self.words.split_first()?;
        self.words = rest;
        Some(first)
    }

    fn take(&mut self, word: &str) -> bool {
        let found = self.words.first() == Some(&word);
        if found {
            self.next();
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_satisfied_or_not() {
        let allow = ["MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "ISC"].map(str::to_owned);
        for fine in [
            "MIT",
            "GPL-3.0 OR MIT",
            "MIT/GPL-3.0",
            "ISC AND (Apache-2.0 OR ISC)",
            "Apache-2.0 WITH LLVM-exception OR GPL-2.0",
        ] {
            assert!(allowed(fine, &allow), "{fine}");
        }
        for wrong in ["", "GPL-3.0", "MIT AND GPL-3.0", "(MIT", "MIT MIT", "Apache-2.0 WITH other"] {
            assert!(!allowed(wrong, &allow), "{wrong}");
        }
    }
}
