//! The grammar of label selectors in requests.

use std::collections::BTreeSet;

use super::{Operator, Requirement, SelectorError, qualified_name_errors};
use crate::{FieldErrors, Path};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'a> {
    /// A key, a value, or one of the words `in` and `notin`, which are operators only where one must stand.
    Word(&'a str),
    /// `= == != > < ! ( ) ,`
    Symbol(&'a str),
    End,
}

impl<'a> Token<'a> {
    fn text(self) -> &'a str {
        match self {
            Token::Word(text) | Token::Symbol(text) => text,
            Token::End => "",
        }
    }

    fn ends_requirement(self) -> bool {
        matches!(self, Token::End | Token::Symbol(","))
    }
}

fn tokens(mut rest: &str) -> Vec<Token<'_>> {
    const BLANKS: [char; 4] = [' ', '\t', '\r', '\n'];
    const SYMBOLS: [char; 7] = ['=', '!', '(', ')', ',', '>', '<'];
    let mut tokens = Vec::new();
    loop {
        rest = rest.trim_start_matches(BLANKS);
        let is_word = |c: char| !BLANKS.contains(&c) && !SYMBOLS.contains(&c);
        let length = match rest.find(|c| !is_word(c)) {
            None if rest.is_empty() => return tokens,
            None => rest.len(),
            Some(0) if rest.starts_with("==") || rest.starts_with("!=") => 2,
            Some(0) => 1,
            Some(length) => length,
        };
        let (token, tail) = rest.split_at(length);
        tokens.push(if token.starts_with(SYMBOLS) { Token::Symbol(token) } else { Token::Word(token) });
        rest = tail;
    }
}

/// The conditions in `text`, in the order written.
pub(super) fn requirements(text: &str) -> Result<Vec<Requirement>, SelectorError> {
    let mut parser = Parser { tokens: tokens(text), position: 0 };
    let mut requirements = Vec::new();
    if parser.peek() == Token::End {
        return Ok(requirements);
    }
    if !parser.at_requirement() {
        return Err(unexpected(parser.peek(), "!, identifier, or 'end of string'"));
    }
    loop {
        let requirement = parser.requirement().map_err(|e| SelectorError::Requirement(Box::new(e)))?;
        requirements.push(requirement);
        match parser.next() {
            Token::End => return Ok(requirements),
            Token::Symbol(",") if parser.at_requirement() => {}
            Token::Symbol(",") => return Err(unexpected(parser.peek(), "identifier after ','")),
            other => return Err(unexpected(other, "',' or 'end of string'")),
        }
    }
}

fn unexpected(found: Token<'_>, expected: &'static str) -> SelectorError {
    SelectorError::Unexpected { found: found.text().to_owned(), expected }
}

struct Parser<'a> {
    tokens: Vec<Token<'a>>,
    position: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Token<'a> {
        self.tokens.get(self.position).copied().unwrap_or(Token::End)
    }

    fn next(&mut self) -> Token<'a> {
        let token = self.peek();
        self.position += 1;
        token
    }

    fn at_requirement(&self) -> bool {
        matches!(self.peek(), Token::Word(_) | Token::Symbol("!"))
    }

    fn requirement(&mut self) -> Result<Requirement, SelectorError> {
        let negated = self.peek() == Token::Symbol("!");
        if negated {
            self.next();
        }
        let key = match self.next() {
            Token::Word(key) => key,
            other => return Err(unexpected(other, "identifier")),
        };
        check_key(key)?;
        if negated {
            return Requirement::new(key, Operator::DoesNotExist, Vec::new());
        }
        if self.peek().ends_requirement() {
            return Requirement::new(key, Operator::Exists, Vec::new());
        }
        let operator = self.operator()?;
        let values = match operator {
            Operator::In | Operator::NotIn => self.values()?.into_iter().map(str::to_owned).collect(),
            _ => vec![self.exact_value()?.to_owned()],
        };
        Requirement::new(key, operator, values)
    }

    fn operator(&mut self) -> Result<Operator, SelectorError> {
        let token = self.next();
        match token.text() {
            "in" => Ok(Operator::In),
            "notin" => Ok(Operator::NotIn),
            "=" => Ok(Operator::Equals),
            "==" => Ok(Operator::DoubleEquals),
            "!=" => Ok(Operator::NotEquals),
            ">" => Ok(Operator::GreaterThan),
            "<" => Ok(Operator::LessThan),
            _ => Err(unexpected(token, "in, notin, =, ==, !=, gt, lt")),
        }
    }

    fn exact_value(&mut self) -> Result<&'a str, SelectorError> {
        if self.peek().ends_requirement() {
            return Ok("");
        }
        match self.next() {
            Token::Word(value) => Ok(value),
            other => Err(unexpected(other, "identifier")),
        }
    }

    /// A list in parentheses; between two commas, or a comma and a parenthesis, stands the empty value.
    fn values(&mut self) -> Result<BTreeSet<&'a str>, SelectorError> {
        match self.next() {
            Token::Symbol("(") => {}
            other => return Err(SelectorError::MissingParenthesis { found: other.text().to_owned() }),
        }
        match self.peek() {
            Token::Word(_) | Token::Symbol("," | ")") => {}
            other => return Err(unexpected(other, "',', ')' or identifier")),
        }
        let mut values = BTreeSet::new();
        loop {
            match self.peek() {
                Token::Word(value) => {
                    values.insert(value);
                    self.next();
                }
                Token::Symbol("," | ")") => {
                    values.insert("");
                }
                other => return Err(unexpected(other, "',', or identifier")),
            }
            match self.next() {
                Token::Symbol(",") => {}
                Token::Symbol(")") => return Ok(values),
                other => return Err(unexpected(other, "',' or ')'")),
            }
        }
    }
}

/// Upstream checks the key before it looks for an operator, and there it has no path to print.
fn check_key(key: &str) -> Result<(), SelectorError> {
    let problems = qualified_name_errors(key);
    if problems.is_empty() {
        return Ok(());
    }
    let mut errors = FieldErrors::new();
    errors.invalid(&Path::root("<nil>"), key, problems.join("; "));
    Err(SelectorError::Field(errors.0))
}
