//! The syntax of label selectors: words, symbols and what may follow what.

use wasmjob_api::field::Path;

use super::label::{Operator, Requirement, text, wrong_key};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Token<'a> {
    Word(&'a str),
    Symbol(&'a str),
    /// Signs that are no symbol together.
    Wrong(&'a str),
    End,
}

const SYMBOLS: [&str; 9] = ["==", "!=", "=", "!", "(", ")", ",", ">", "<"];

/// The requirements of `input`, in its order.
pub(super) fn parse(input: &str) -> Result<Vec<Requirement>, String> {
    let mut tokens = Tokens { rest: input };
    let mut requirements = Vec::new();
    loop {
        match tokens.peek() {
            Token::Word(_) | Token::Symbol("!") => {
                let requirement = requirement(&mut tokens)
                    .map_err(|error| format!("unable to parse requirement: {error}"))?;
                requirements.push(requirement);
                match tokens.next() {
                    Token::End => return Ok(requirements),
                    Token::Symbol(",") => match tokens.peek() {
                        Token::Word(_) | Token::Symbol("!") => {}
                        other => return Err(found(other, ", expected: identifier after ','")),
                    },
                    other => return Err(found(other, ", expected: ',' or 'end of string'")),
                }
            }
            Token::End => return Ok(requirements),
            other => {
                return Err(found(
                    other,
                    ", expected: !, identifier, or 'end of string'",
                ));
            }
        }
    }
}

fn requirement(tokens: &mut Tokens<'_>) -> Result<Requirement, String> {
    let mut first = tokens.next();
    let absent = first == Token::Symbol("!");
    if absent {
        first = tokens.next();
    }
    let Token::Word(key) = first else {
        return Err(found(first, ", expected: identifier"));
    };
    if let Some(error) = wrong_key(key, &Path::default()) {
        return Err(text(&[error]));
    }
    let alone = matches!(tokens.peek(), Token::End | Token::Symbol(","));
    let (operator, values) = match (absent, alone) {
        (true, _) => (Operator::DoesNotExist, Vec::new()),
        (false, true) => (Operator::Exists, Vec::new()),
        (false, false) => {
            let operator = operator(tokens)?;
            let values = match operator {
                Operator::In | Operator::NotIn => value_set(tokens)?,
                _ => vec![exact_value(tokens)?],
            };
            (operator, values)
        }
    };
    Requirement::new(key, operator, values, &Path::default()).map_err(|errors| text(&errors))
}

fn operator(tokens: &mut Tokens<'_>) -> Result<Operator, String> {
    Ok(match tokens.next() {
        Token::Word("in") => Operator::In,
        Token::Word("notin") => Operator::NotIn,
        Token::Symbol("=") => Operator::Equals,
        Token::Symbol("==") => Operator::DoubleEquals,
        Token::Symbol("!=") => Operator::NotEquals,
        Token::Symbol(">") => Operator::GreaterThan,
        Token::Symbol("<") => Operator::LessThan,
        other => {
            return Err(found(other, ", expected: in, notin, =, ==, !=, gt, lt"));
        }
    })
}

fn exact_value(tokens: &mut Tokens<'_>) -> Result<String, String> {
    match tokens.peek() {
        Token::End | Token::Symbol(",") => Ok(String::new()),
        Token::Word(value) => {
            tokens.next();
            Ok(value.to_owned())
        }
        other => Err(found(other, ", expected: identifier")),
    }
}

/// `(a, b)`; between commas may be nothing, which is the empty value.
fn value_set(tokens: &mut Tokens<'_>) -> Result<Vec<String>, String> {
    match tokens.next() {
        Token::Symbol("(") => {}
        other => return Err(found(other, " expected: '('")),
    }
    match tokens.peek() {
        Token::Word(_) | Token::Symbol("," | ")") => {}
        other => return Err(found(other, ", expected: ',', ')' or identifier")),
    }
    let mut values = Vec::new();
    // Whether a value may stand here, as after `(` and `,`.
    let mut open = true;
    loop {
        match (tokens.next(), open) {
            (Token::Word(value), true) => {
                values.push(value.to_owned());
                open = false;
            }
            (Token::Symbol(","), _) => {
                if open {
                    values.push(String::new());
                }
                open = true;
            }
            (Token::Symbol(")"), _) => {
                if open {
                    values.push(String::new());
                }
                return Ok(values);
            }
            (other, false) => return Err(found(other, ", expected: ',' or ')'")),
            (other, true) => return Err(found(other, ", expected: ',', or identifier")),
        }
    }
}

fn found(token: Token<'_>, rest: &str) -> String {
    match token {
        Token::Word(text) | Token::Symbol(text) => format!("found '{text}'{rest}"),
        Token::Wrong(text) => format!("found 'error expected: keyword found '{text}''{rest}"),
        Token::End => format!("found ''{rest}"),
    }
}

struct Tokens<'a> {
    rest: &'a str,
}

impl<'a> Tokens<'a> {
    fn peek(&self) -> Token<'a> {
        self.split().0
    }

    fn next(&mut self) -> Token<'a> {
        let (token, rest) = self.split();
        self.rest = rest;
        token
    }

    fn split(&self) -> (Token<'a>, &'a str) {
        let space = |c: char| matches!(c, ' ' | '\t' | '\r' | '\n');
        let sign = |c: char| "=!(),<>".contains(c);
        let rest = self.rest.trim_start_matches(space);
        let Some(first) = rest.chars().next() else {
            return (Token::End, rest);
        };
        if sign(first) {
            if let Some(symbol) = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
                let (symbol, rest) = rest.split_at(symbol.len());
                return (Token::Symbol(symbol), rest);
            }
            let (wrong, rest) = rest.split_at(first.len_utf8());
            return (Token::Wrong(wrong), rest);
        }
        let end = rest
            .find(|c: char| space(c) || sign(c))
            .unwrap_or(rest.len());
        let (word, rest) = rest.split_at(end);
        (Token::Word(word), rest)
    }
}
