//! `$(( ))`: integers of 64 bits that wrap, with C's operators and assignments.

use super::{Flow, Shell};

/// Parentheses and the like may be nested so deeply.
const DEPTH_MAX: usize = 40;

/// Binary operators from the weakest to the strongest.
const LEVELS: [&[&str]; 10] = [
    &["||"],
    &["&&"],
    &["|"],
    &["^"],
    &["&"],
    &["==", "!="],
    &["<=", ">=", "<", ">"],
    &["<<", ">>"],
    &["+", "-"],
    &["*", "/", "%"],
];

const ASSIGNMENTS: [&str; 11] = [
    "<<=", ">>=", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "=",
];

/// Reads and evaluates at once.
struct Evaluator<'a> {
    shell: &'a mut Shell,
    text: Vec<char>,
    at: usize,
    depth: usize,
    /// In the branch not taken of `?:`, `&&`, `||`: nothing is assigned.
    skipping: bool,
}

/// What is wrong with an expression.
enum Mistake {
    Text(&'static str),
    Flow(Flow),
}

impl From<Flow> for Mistake {
    fn from(flow: Flow) -> Self {
        Self::Flow(flow)
    }
}

type Value = Result<i64, Mistake>;

impl Shell {
    /// The value of an expression whose expansions have been done.
    pub(super) fn evaluate(&mut self, text: &str) -> Result<i64, Flow> {
        self.evaluate_nested(text, 0)
            .map_err(|mistake| match mistake {
                Mistake::Flow(flow) => flow,
                Mistake::Text(text) => {
                    self.say(text);
                    Flow::Exit(2)
                }
            })
    }

    fn evaluate_nested(&mut self, text: &str, depth: usize) -> Value {
        let mut evaluator = Evaluator {
            shell: self,
            text: text.chars().collect(),
            at: 0,
            depth,
            skipping: false,
        };
        evaluator.skip_blanks();
        if evaluator.at == evaluator.text.len() {
            return Ok(0);
        }
        let value = evaluator.comma()?;
        if evaluator.at < evaluator.text.len() {
            return Err(Mistake::Text("arithmetic syntax error"));
        }
        Ok(value)
    }
}

impl Evaluator<'_> {
    fn comma(&mut self) -> Value {
        let mut value = self.assignment()?;
        while self.take(",") {
            value = self.assignment()?;
        }
        Ok(value)
    }

    fn assignment(&mut self) -> Value {
        let start = self.at;
        if let Some(name) = self.name() {
            let operator = ASSIGNMENTS
                .into_iter()
                .find(|operator| self.starts_with(operator));
            if let Some(operator) =
                operator.filter(|operator| *operator != "=" || !self.starts_with("=="))
            {
                self.take(operator);
                let right = self.nested(Self::assignment)?;
                let value = match operator.strip_suffix('=') {
                    Some("") | None => right,
                    Some(binary) => {
                        let left = self.variable(&name)?;
                        self.apply(binary, left, right)?
                    }
                };
                return self.assign(&name, value);
            }
        }
        self.at = start;
        self.ternary()
    }

    fn ternary(&mut self) -> Value {
        let condition = self.binary(0)?;
        if !self.take("?") {
            return Ok(condition);
        }
        let yes = self.skipping_if(condition == 0, |own| own.nested(Self::assignment))?;
        if !self.take(":") {
            return Err(Mistake::Text("arithmetic syntax error"));
        }
        let no = self.skipping_if(condition != 0, |own| own.nested(Self::assignment))?;
        Ok(if condition != 0 { yes } else { no })
    }

    fn binary(&mut self, level: usize) -> Value {
        let Some(operators) = LEVELS.get(level) else {
            return self.power();
        };
        let mut left = self.binary(level + 1)?;
        while let Some(operator) = self.operator(operators) {
            let decided = matches!((operator, left != 0), ("||", true) | ("&&", false));
            let right = self.skipping_if(decided, |own| own.binary(level + 1))?;
            left = match operator {
                "||" => i64::from(left != 0 || right != 0),
                "&&" => i64::from(left != 0 && right != 0),
                _ => self.apply(operator, left, right)?,
            };
        }
        Ok(left)
    }

    /// Takes one of `operators` that is not the beginning of a longer one.
    fn operator(&mut self, operators: &'static [&'static str]) -> Option<&'static str> {
        self.skip_blanks();
        let operator = operators
            .iter()
            .copied()
            .find(|operator| self.starts_with(operator))?;
        let next = self.text.get(self.at + operator.len()).copied();
        let longer = match operator {
            "|" | "&" => next == operator.chars().next() || next == Some('='),
            "<" | ">" => next == operator.chars().next(),
            "+" | "-" | "/" | "%" | "^" | "<<" | ">>" => next == Some('='),
            "*" => matches!(next, Some('=' | '*')),
            _ => false,
        };
        if longer {
            return None;
        }
        self.take(operator);
        Some(operator)
    }

    fn power(&mut self) -> Value {
        let base = self.unary()?;
        if !self.take("**") {
            return Ok(base);
        }
        let exponent = self.nested(Self::power)?;
        let exponent =
            u32::try_from(exponent).map_err(|_| Mistake::Text("exponent less than 0"))?;
        Ok(base.wrapping_pow(exponent))
    }

    fn unary(&mut self) -> Value {
        self.skip_blanks();
        for (operator, step) in [("++", 1), ("--", -1)] {
            let start = self.at;
            if self.take(operator) {
                if let Some(name) = self.name() {
                    let value = self.variable(&name)?.wrapping_add(step);
                    return self.assign(&name, value);
                }
                self.at = start;
            }
        }
        if self.take("!") {
            return Ok(i64::from(self.nested(Self::unary)? == 0));
        }
        if self.take("~") {
            return Ok(!self.nested(Self::unary)?);
        }
        if self.take("-") {
            return Ok(self.nested(Self::unary)?.wrapping_neg());
        }
        if self.take("+") {
            return self.nested(Self::unary);
        }
        self.primary()
    }

    fn primary(&mut self) -> Value {
        if self.take("(") {
            let value = self.nested(Self::comma)?;
            return if self.take(")") {
                Ok(value)
            } else {
                Err(Mistake::Text("arithmetic syntax error"))
            };
        }
        if let Some(name) = self.name() {
            let value = self.variable(&name)?;
            for (operator, step) in [("++", 1), ("--", -1)] {
                if self.take(operator) {
                    self.assign(&name, value.wrapping_add(step))?;
                }
            }
            return Ok(value);
        }
        self.number()
    }

    fn number(&mut self) -> Value {
        let start = self.at;
        while self
            .text
            .get(self.at)
            .is_some_and(|c| c.is_ascii_alphanumeric() || *c == '#')
        {
            self.at += 1;
        }
        let digits: String = self.text[start..self.at].iter().collect();
        self.skip_blanks();
        let lower = digits.to_ascii_lowercase();
        let parsed = if let Some(hex) = lower.strip_prefix("0x") {
            i64::from_str_radix(hex, 16)
        } else if let Some((base, digits)) = lower.split_once('#') {
            match base.parse() {
                Ok(base @ 2..=36) => i64::from_str_radix(digits, base),
                _ => return Err(Mistake::Text("arithmetic syntax error")),
            }
        } else if lower.len() > 1 && lower.starts_with('0') {
            i64::from_str_radix(&lower, 8)
        } else {
            lower.parse()
        };
        parsed.map_err(|_| Mistake::Text("arithmetic syntax error"))
    }

    fn apply(&self, operator: &str, left: i64, right: i64) -> Value {
        Ok(match operator {
            "|" => left | right,
            "^" => left ^ right,
            "&" => left & right,
            "==" => i64::from(left == right),
            "!=" => i64::from(left != right),
            "<=" => i64::from(left <= right),
            ">=" => i64::from(left >= right),
            "<" => i64::from(left < right),
            ">" => i64::from(left > right),
            "<<" => left.wrapping_shl(right as u32),
            ">>" => left.wrapping_shr(right as u32),
            "+" => left.wrapping_add(right),
            "-" => left.wrapping_sub(right),
            "*" => left.wrapping_mul(right),
            _ if right == 0 && self.skipping => 0,
            _ if right == 0 => return Err(Mistake::Text("divide by zero")),
            "/" => left.wrapping_div(right),
            _ => left.wrapping_rem(right),
        })
    }

    /// A variable's value is an expression itself.
    fn variable(&mut self, name: &str) -> Value {
        if self.skipping {
            return Ok(0);
        }
        let text = self.shell.variables.get(name).unwrap_or_default();
        match text.parse() {
            Ok(value) if !text.starts_with('0') => Ok(value),
            _ => self.nested(|own| own.shell.evaluate_nested(&text, own.depth)),
        }
    }

    fn assign(&mut self, name: &str, value: i64) -> Value {
        if !self.skipping {
            self.shell.assign(name, &value.to_string())?;
        }
        Ok(value)
    }

    fn skipping_if(&mut self, skip: bool, run: impl FnOnce(&mut Self) -> Value) -> Value {
        let before = self.skipping;
        self.skipping |= skip;
        let value = run(self);
        self.skipping = before;
        value
    }

    fn nested(&mut self, run: impl FnOnce(&mut Self) -> Value) -> Value {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(Mistake::Text("expression recursion level exceeded"));
        }
        let value = run(self);
        self.depth -= 1;
        value
    }

    fn name(&mut self) -> Option<String> {
        self.skip_blanks();
        let start = self.at;
        if self
            .text
            .get(start)
            .is_none_or(|c| !c.is_ascii_alphabetic() && *c != '_')
        {
            return None;
        }
        while self
            .text
            .get(self.at)
            .is_some_and(|c| c.is_ascii_alphanumeric() || *c == '_')
        {
            self.at += 1;
        }
        let name = self.text[start..self.at].iter().collect();
        self.skip_blanks();
        Some(name)
    }

    fn skip_blanks(&mut self) {
        while self
            .text
            .get(self.at)
            .is_some_and(char::is_ascii_whitespace)
        {
            self.at += 1;
        }
    }

    fn starts_with(&self, text: &str) -> bool {
        text.chars()
            .enumerate()
            .all(|(distance, c)| self.text.get(self.at + distance) == Some(&c))
    }

    fn take(&mut self, text: &str) -> bool {
        self.skip_blanks();
        let found = self.starts_with(text);
        if found {
            self.at += text.len();
            self.skip_blanks();
        }
        found
    }
}
