//! The words and signs of a predicate, each with its place.

use super::PredicateError;

/// A word or sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// `principal`, `in`, `true`, a key of an object.
    Word(String),
    Text(String),
    /// As it is written.
    Number(String),
    Equal,
    NotEqual,
    And,
    Or,
    Not,
    Open,
    Close,
    OpenList,
    CloseList,
    Comma,
    Dot,
    Star,
    End,
}

impl Token {
    /// As an error names it.
    pub(super) fn shown(&self) -> String {
        match self {
            Token::Word(word) => format!("`{word}`"),
            Token::Text(_) => "a text".to_owned(),
            Token::Number(number) => format!("`{number}`"),
            Token::Equal => "`==`".to_owned(),
            Token::NotEqual => "`!=`".to_owned(),
            Token::And => "`&&`".to_owned(),
            Token::Or => "`||`".to_owned(),
            Token::Not => "`!`".to_owned(),
            Token::Open => "`(`".to_owned(),
            Token::Close => "`)`".to_owned(),
            Token::OpenList => "`[`".to_owned(),
            Token::CloseList => "`]`".to_owned(),
            Token::Comma => "`,`".to_owned(),
            Token::Dot => "`.`".to_owned(),
            Token::Star => "`*`".to_owned(),
            Token::End => "the end".to_owned(),
        }
    }
}

/// All tokens with the characters at which they begin, from 1, and the end.
pub(super) fn tokens(text: &str) -> Result<Vec<(usize, Token)>, PredicateError> {
    let mut scanner = Scanner { rest: text.chars().peekable(), column: 1 };
    let mut found = Vec::new();
    loop {
        while scanner.rest.next_if(|c| c.is_whitespace()).is_some() {
            scanner.column += 1;
        }
        let column = scanner.column;
        let token = scanner.token()?;
        let ended = token == Token::End;
        found.push((column, token));
        if ended {
            return Ok(found);
        }
    }
}

struct Scanner<'t> {
    rest: std::iter::Peekable<std::str::Chars<'t>>,
    column: usize,
}

impl Scanner<'_> {
    fn take(&mut self) -> Option<char> {
        let next = self.rest.next();
        self.column += usize::from(next.is_some());
        next
    }

    fn take_if(&mut self, wanted: impl Fn(char) -> bool) -> Option<char> {
        let next = self.rest.next_if(|c| wanted(*c));
        self.column += usize::from(next.is_some());
        next
    }

    fn token(&mut self) -> Result<Token, PredicateError> {
        let column = self.column;
        let fail =
            |message: String, help: &str| Err(PredicateError { column, message, help: help.to_owned() });
        let Some(first) = self.take() else { return Ok(Token::End) };
        Ok(match first {
            '(' => Token::Open,
            ')' => Token::Close,
            '[' => Token::OpenList,
            ']' => Token::CloseList,
            ',' => Token::Comma,
            '.' => Token::Dot,
            '*' => Token::Star,
            '!' if self.take_if(|c| c == '=').is_some() => Token::NotEqual,
            '!' => Token::Not,
            '=' if self.take_if(|c| c == '=').is_some() => Token::Equal,
            '=' => return fail("`=` compares nothing".to_owned(), "write `==`"),
            '&' if self.take_if(|c| c == '&').is_some() => Token::And,
            '&' => return fail("`&` is no operator".to_owned(), "write `&&`"),
            '|' if self.take_if(|c| c == '|').is_some() => Token::Or,
            '|' => return fail("`|` is no operator".to_owned(), "write `||`"),
            '<' | '>' => {
                return fail(
                    format!("`{first}` is no operator of ownership"),
                    "owners are equal or not: write `==`, `!=`, `in` or `contains`",
                );
            }
            '"' | '\'' => self.text(first, column)?,
            '-' | '0'..='9' => self.number(first, column)?,
            _ if is_word(first) => {
                let mut word = String::from(first);
                while let Some(next) = self.take_if(|c| is_word(c) || c == '-' || c.is_ascii_digit()) {
                    word.push(next);
                }
                Token::Word(word)
            }
            _ => return fail(format!("`{first}` is not expected here"), "put names of keys into `[\"..\"]`"),
        })
    }

    /// What stands between quotes; `\"`, `\'` and `\\` stand for themselves.
    fn text(&mut self, quote: char, column: usize) -> Result<Token, PredicateError> {
        let mut text = String::new();
        loop {
            match self.take() {
                Some(c) if c == quote => return Ok(Token::Text(text)),
                Some('\\') => match self.take() {
                    Some(c @ ('"' | '\'' | '\\')) => text.push(c),
                    _ => {
                        return Err(PredicateError {
                            column: self.column.saturating_sub(1),
                            message: "this escape is not known".to_owned(),
                            help: "write `\\\\` for a backslash, and any other character as it is".to_owned(),
                        });
                    }
                },
                Some(c) => text.push(c),
                None => {
                    return Err(PredicateError {
                        column,
                        message: "the text has no end".to_owned(),
                        help: format!("close it with `{quote}`"),
                    });
                }
            }
        }
    }

    /// A number as JSON writes it.
    fn number(&mut self, first: char, column: usize) -> Result<Token, PredicateError> {
        let mut number = String::from(first);
        while let Some(next) = self.take_if(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '+')) {
            number.push(next);
            if matches!(next, 'e' | 'E')
                && let Some(sign) = self.take_if(|c| c == '-')
            {
                number.push(sign);
            }
        }
        let digits = number.strip_prefix('-').unwrap_or(&number);
        let leading = digits.len() > 1 && digits.starts_with('0') && !digits.starts_with("0.");
        let json = serde_json::from_str::<serde_json::Number>(&number).is_ok();
        if !json || leading {
            return Err(PredicateError {
                column,
                message: format!("`{number}` is no number"),
                help: "write a number such as `42`, or a text in quotes".to_owned(),
            });
        }
        Ok(Token::Number(number))
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphabetic() || matches!(c, '_' | '$' | '@') || (!c.is_ascii() && c.is_alphanumeric())
}
