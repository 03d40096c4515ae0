//! Tokens to a fingerprint: what is the same for a data base is folded until five tokens are left.

use super::token::{Mode, Token, Tokenizer, kind};

/// How many tokens a fingerprint has at most.
const MOST: usize = 5;

/// The tokens of a fingerprint, and what was seen on the way.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Folded<'a> {
    tokens: [Token<'a>; MOST + 1],
    length: usize,
    /// How many tokens the text has, before folding.
    pub count: usize,
    /// Whether a comment is read otherwise by MySQL.
    pub ambiguous: bool,
}

impl<'a> Folded<'a> {
    pub(super) fn token(&self, index: usize) -> Token<'a> {
        self.tokens.get(index).copied().unwrap_or_default()
    }

    /// The tokens of the fingerprint.
    pub(super) fn tokens(&self) -> impl Iterator<Item = &Token<'a>> {
        self.tokens.iter().take(self.length)
    }

    /// The letters of the tokens; one letter where one of them is never innocent.
    pub(super) fn fingerprint(&self) -> ([u8; 8], usize) {
        let mut letters = [0; 8];
        let mut length = 0;
        for (letter, token) in letters.iter_mut().zip(self.tokens.iter().take(self.length)) {
            *letter = token.kind;
            length += 1;
        }
        if letters.contains(&kind::EVIL) { ([kind::EVIL, 0, 0, 0, 0, 0, 0, 0], 1) } else { (letters, length) }
    }
}

/// The tokens that are being folded.
struct Folder<'a> {
    tokenizer: Tokenizer<'a>,
    tokens: [Token<'a>; MOST + 3],
    /// Where the next token goes.
    end: usize,
    /// How many tokens are done with.
    left: usize,
    more: bool,
    last_comment: Token<'a>,
}

/// What to do after a rule was tried.
enum Step {
    /// Start over with what is left.
    Again,
    /// No rule: look at more.
    On,
    /// The fingerprint is settled.
    Stop,
}

fn is_unary(token: &Token) -> bool {
    token.kind == kind::OPERATOR
        && (matches!(token.text, b"+" | b"-" | b"!" | b"~" | b"!!") || token.is(b"NOT"))
}

fn is_arithmetic(token: &Token) -> bool {
    token.kind == kind::OPERATOR && matches!(token.text, b"*" | b"/" | b"-" | b"+" | b"%")
}

/// Words that are names of columns, and functions where a parenthesis follows.
fn may_be_function(token: &Token) -> bool {
    const NAMES: [&[u8]; 11] = [
        b"USER_ID",
        b"USER_NAME",
        b"DATABASE",
        b"PASSWORD",
        b"USER",
        b"CURRENT_USER",
        b"CURRENT_DATE",
        b"CURRENT_TIME",
        b"CURRENT_TIMESTAMP",
        b"LOCALTIME",
        b"LOCALTIMESTAMP",
    ];
    matches!(token.kind, kind::WORD | kind::VARIABLE) && NAMES.iter().any(|name| token.is(name))
}

/// Cuts and folds a text.
pub(super) fn fold(input: &[u8], mode: Mode) -> Folded<'_> {
    let mut folder = Folder {
        tokenizer: Tokenizer::new(input, mode),
        tokens: [Token::default(); MOST + 3],
        end: 0,
        left: 0,
        more: true,
        last_comment: Token::default(),
    };
    let found = folder.start();
    // Where a token is never innocent, all tokens up to it count, else at most five.
    let stopped = found && folder.run();
    folder.finish(if stopped {
        MOST + 1
    } else if found {
        MOST
    } else {
        0
    })
}

impl<'a> Folder<'a> {
    fn at(&self, index: usize) -> Token<'a> {
        self.tokens.get(index).copied().unwrap_or_default()
    }

    fn kind(&self, index: usize) -> u8 {
        self.tokens.get(index).map_or(kind::NONE, |token| token.kind)
    }

    fn set(&mut self, index: usize, token: Token<'a>) {
        if let Some(place) = self.tokens.get_mut(index) {
            *place = token;
        }
    }

    fn set_kind(&mut self, index: usize, kind: u8) {
        if let Some(place) = self.tokens.get_mut(index) {
            place.kind = kind;
        }
    }

    /// Skips comments, parentheses, types and signs at the beginning; tells whether anything follows.
    fn start(&mut self) -> bool {
        while let Some(token) = self.tokenizer.next() {
            if !matches!(token.kind, kind::COMMENT | kind::OPEN | kind::TYPE) && !is_unary(&token) {
                self.set(0, token);
                self.end = 1;
                return true;
            }
        }
        false
    }

    /// Gets tokens until `wanted` are to be looked at.
    fn fill(&mut self, wanted: usize) -> bool {
        while self.more && self.end <= MOST && self.end - self.left < wanted {
            match self.tokenizer.next() {
                None => self.more = false,
                Some(token) if token.kind == kind::COMMENT => self.last_comment = token,
                Some(token) => {
                    self.last_comment.kind = kind::NONE;
                    self.set(self.end, token);
                    self.end += 1;
                }
            }
        }
        self.end - self.left >= wanted
    }

    /// Folds until no rule is left; tells whether a token that is never innocent put an end to it.
    fn run(&mut self) -> bool {
        loop {
            if self.end >= MOST && self.is_folded_expression() {
                if self.end > MOST {
                    self.set(1, self.at(MOST));
                    self.end = 2;
                } else {
                    self.end = 1;
                }
                self.left = 0;
            }
            if !self.more || self.left >= MOST {
                self.left = self.end;
                return false;
            }
            if !self.fill(2) {
                self.left = self.end;
                continue;
            }
            match self.two() {
                Step::Again => continue,
                Step::Stop => return true,
                Step::On => {}
            }
            if !self.fill(3) {
                self.left = self.end;
                continue;
            }
            if !self.three() {
                self.left += 1;
            }
        }
    }

    /// Five tokens that stand for one: `1+(1)` and the like.
    fn is_folded_expression(&self) -> bool {
        use kind::{CLOSE, COMMA, NUMBER, OPEN, OPERATOR, WORD};
        let kinds = [self.kind(0), self.kind(1), self.kind(2), self.kind(3), self.kind(4)];
        matches!(
            kinds,
            [NUMBER, OPERATOR | COMMA, OPEN, NUMBER, CLOSE]
                | [WORD, OPERATOR, OPEN, WORD | NUMBER, CLOSE]
                | [NUMBER, CLOSE, COMMA, OPEN, NUMBER]
                | [WORD, CLOSE, OPERATOR, OPEN, WORD]
        )
    }

    /// Drops the last of the tokens that are looked at.
    fn drop_last(&mut self) {
        self.end -= 1;
    }

    /// The rules for two tokens.
    fn two(&mut self) -> Step {
        // Most texts are words and numbers, for which there is no rule.
        if let (Some(left), Some(right)) = (self.tokens.get(self.left), self.tokens.get(self.left + 1))
            && matches!((left.kind, right.kind), (kind::WORD | kind::NUMBER, kind::WORD | kind::NUMBER))
            && !left.begins
        {
            return Step::On;
        }
        let (left, right) = (self.at(self.left), self.at(self.left + 1));
        match (left.kind, right.kind) {
            (kind::STRING, kind::STRING) | (kind::SEMICOLON, kind::SEMICOLON) => {
                self.drop_last();
                return Step::Again;
            }
            (kind::OPERATOR | kind::LOGIC, _) if is_unary(&right) || right.kind == kind::TYPE => {
                self.drop_last();
                self.left = 0;
                return Step::Again;
            }
            (kind::OPEN, _) if is_unary(&right) => {
                self.drop_last();
                self.left = self.left.saturating_sub(1);
                return Step::Again;
            }
            _ => {}
        }
        if mergeable(left.kind)
            && (mergeable(right.kind) || right.kind == kind::LOGIC)
            && let Some(merged) = left.merge(&right)
        {
            self.set(self.left, merged);
            self.drop_last();
            self.left = self.left.saturating_sub(1);
            return Step::Again;
        }
        match (left.kind, right.kind) {
            // In Transact-SQL, `IF` after a semicolon steers.
            (kind::SEMICOLON, kind::FUNCTION)
                if right.text.get(..2).is_some_and(|word| word.eq_ignore_ascii_case(b"IF")) =>
            {
                self.set_kind(self.left + 1, kind::TSQL);
                Step::Again
            }
            (_, kind::OPEN) if may_be_function(&left) => {
                self.set_kind(self.left, kind::FUNCTION);
                Step::Again
            }
            (kind::KEYWORD, _) if left.is(b"IN") || left.is(b"NOT IN") => {
                let kind = if right.kind == kind::OPEN { kind::OPERATOR } else { kind::WORD };
                self.set_kind(self.left, kind);
                Step::Again
            }
            (kind::OPERATOR, _) if left.is(b"LIKE") || left.is(b"NOT LIKE") => {
                if right.kind == kind::OPEN {
                    self.set_kind(self.left, kind::FUNCTION);
                }
                Step::On
            }
            (
                kind::TYPE,
                kind::WORD
                | kind::NUMBER
                | kind::TYPE
                | kind::OPEN
                | kind::FUNCTION
                | kind::VARIABLE
                | kind::STRING,
            ) => {
                self.set(self.left, right);
                self.drop_last();
                self.left = 0;
                Step::Again
            }
            // There are too many collations to list; their names have an underscore.
            (kind::COLLATE, kind::WORD) => {
                if right.text.contains(&b'_') {
                    self.set_kind(self.left + 1, kind::TYPE);
                    self.left = 0;
                }
                Step::On
            }
            (kind::BACKSLASH, _) => {
                if is_arithmetic(&right) {
                    self.set_kind(self.left, kind::NUMBER);
                } else {
                    self.set(self.left, right);
                    self.drop_last();
                }
                self.left = 0;
                Step::Again
            }
            (kind::OPEN, kind::OPEN) | (kind::CLOSE, kind::CLOSE) => {
                self.drop_last();
                self.left = 0;
                Step::Again
            }
            (kind::OPEN_BRACE, kind::WORD) => {
                // An empty name after a brace means a qualified name to MySQL: too rare to be innocent.
                if right.text.is_empty() {
                    self.set_kind(self.left + 1, kind::EVIL);
                    self.left += 2;
                    self.last_comment.kind = kind::NONE;
                    return Step::Stop;
                }
                self.left = 0;
                self.end -= 2;
                Step::Again
            }
            (_, kind::CLOSE_BRACE) => {
                self.drop_last();
                self.left = 0;
                Step::Again
            }
            _ => Step::On,
        }
    }

    /// The rules for three tokens; tells whether to start over.
    fn three(&mut self) -> bool {
        use kind::{
            COMMA, EXPRESSION, FUNCTION, GROUP, KEYWORD, LOGIC, NUMBER, OPEN, OPERATOR, STRING, VARIABLE,
            WORD,
        };
        if matches!((self.kind(self.left), self.kind(self.left + 1)), (WORD | NUMBER, WORD | NUMBER)) {
            return false;
        }
        let (left, middle, right) = (self.at(self.left), self.at(self.left + 1), self.at(self.left + 2));
        let unary = is_unary(&middle);
        match (left.kind, middle.kind, right.kind) {
            (NUMBER, OPERATOR, NUMBER)
            | (LOGIC, _, LOGIC)
            | (VARIABLE, OPERATOR, VARIABLE | NUMBER | WORD)
            | (WORD | NUMBER, OPERATOR, NUMBER | WORD)
            | (WORD | NUMBER | STRING | VARIABLE, COMMA, NUMBER | WORD | STRING | VARIABLE)
            | (WORD, kind::DOT, WORD) => self.end -= 2,
            (OPERATOR, other, OPERATOR) if other != OPEN => self.end -= 2,
            (WORD | NUMBER | VARIABLE | STRING, OPERATOR, kind::TYPE) if middle.text == b"::" => {
                self.end -= 2
            }
            (EXPRESSION | GROUP | COMMA, _, OPEN) if unary => self.drop_middle(right),
            (KEYWORD | EXPRESSION | GROUP, _, NUMBER | WORD | VARIABLE | STRING | FUNCTION) if unary => {
                self.drop_middle(right);
            }
            (COMMA, _, NUMBER | WORD | VARIABLE | STRING) if unary => {
                self.set(self.left + 1, right);
                self.end = self.end.saturating_sub(3);
            }
            (COMMA, _, FUNCTION) if unary => self.drop_middle(right),
            (EXPRESSION, kind::DOT, WORD) => self.drop_middle(right),
            // `USER()` takes no argument: `USER(x)` is none.
            (FUNCTION, OPEN, other) if other != kind::CLOSE => {
                if left.is(b"USER") {
                    self.set_kind(self.left, WORD);
                }
                return false;
            }
            _ => return false,
        }
        self.left = 0;
        true
    }

    fn drop_middle(&mut self, right: Token<'a>) {
        self.set(self.left + 1, right);
        self.end -= 1;
    }

    /// The tokens that are left, at most `most` and a comment at the end.
    fn finish(mut self, most: usize) -> Folded<'a> {
        let mut folded =
            Folded { count: self.tokenizer.count, ambiguous: self.tokenizer.ambiguous, ..Folded::default() };
        let mut length = self.left.min(most);
        // An empty backtick that is never closed is how PHP writes a comment.
        if length > 2 {
            let last = self.at(length - 1);
            if last.kind == kind::WORD && last.open == b'`' && last.text.is_empty() && last.close == 0 {
                self.set_kind(length - 1, kind::COMMENT);
            }
        }
        for (place, token) in folded.tokens.iter_mut().zip(self.tokens.iter().take(length)) {
            *place = *token;
        }
        if length < most && self.last_comment.kind == kind::COMMENT {
            if let Some(place) = folded.tokens.get_mut(length) {
                *place = self.last_comment;
            }
            length += 1;
        }
        folded.length = length;
        folded
    }
}

/// Whether a word of this kind can be part of a keyword of several words.
const fn mergeable(kind: u8) -> bool {
    matches!(
        kind,
        kind::KEYWORD
            | kind::WORD
            | kind::OPERATOR
            | kind::UNION
            | kind::FUNCTION
            | kind::EXPRESSION
            | kind::TSQL
            | kind::TYPE
    )
}
