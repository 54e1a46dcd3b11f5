//! expr.

use crate::regex::{Dialect, Regex};
use crate::world::{Stop, World};

/// Operators from the weakest to the strongest.
const LEVELS: [&[&str]; 6] = [
    &["|"],
    &["&"],
    &["<", "<=", "=", "==", "!=", ">=", ">"],
    &["+", "-"],
    &["*", "/", "%"],
    &[":"],
];

/// `expr EXPRESSION`: prints its value; 1 if that is empty or 0, 2 for mistakes.
pub(super) fn expr(world: &World, args: &[String]) -> Result<i32, Stop> {
    let mut expression = Expression {
        world,
        args,
        at: 0,
        depth: 0,
    };
    let value = expression.level(0)?;
    if expression.at < args.len() {
        return world.stop(2, "syntax error");
    }
    world.line(&value)?;
    Ok(i32::from(is_null(&value)))
}

struct Expression<'a> {
    world: &'a World,
    args: &'a [String],
    at: usize,
    depth: usize,
}

impl Expression<'_> {
    fn level(&mut self, level: usize) -> Result<String, Stop> {
        let Some(operators) = LEVELS.get(level) else {
            return self.primary();
        };
        let mut left = self.level(level + 1)?;
        while let Some(operator) = self
            .args
            .get(self.at)
            .filter(|arg| operators.contains(&arg.as_str()))
        {
            self.at += 1;
            let right = self.level(level + 1)?;
            left = self.apply(operator, left, right)?;
        }
        Ok(left)
    }

    fn primary(&mut self) -> Result<String, Stop> {
        let Some(word) = self.args.get(self.at) else {
            return self.world.stop(2, "syntax error");
        };
        self.at += 1;
        match word.as_str() {
            "(" => {
                self.depth += 1;
                if self.depth > 50 {
                    return self.world.stop(2, "too complex an expression");
                }
                let value = self.level(0)?;
                self.depth -= 1;
                match self.args.get(self.at) {
                    Some(word) if word == ")" => {
                        self.at += 1;
                        Ok(value)
                    }
                    _ => self.world.stop(2, "syntax error"),
                }
            }
            "length" if self.more() => Ok(self.primary()?.chars().count().to_string()),
            "match" if self.more() => {
                let text = self.primary()?;
                let pattern = self.primary()?;
                self.apply(":", text, pattern)
            }
            "substr" if self.more() => {
                let text = self.primary()?;
                let (from, count) = (self.primary()?, self.primary()?);
                let (from, count) = (self.integer(&from)?, self.integer(&count)?);
                let skip = usize::try_from(from - 1).unwrap_or(usize::MAX);
                Ok(text
                    .chars()
                    .skip(skip)
                    .take(usize::try_from(count).unwrap_or(0))
                    .collect())
            }
            "index" if self.more() => {
                let text = self.primary()?;
                let chars = self.primary()?;
                Ok(text
                    .chars()
                    .position(|c| chars.contains(c))
                    .map_or(0, |at| at + 1)
                    .to_string())
            }
            word => Ok(word.to_owned()),
        }
    }

    fn more(&self) -> bool {
        self.at < self.args.len()
    }

    fn apply(&self, operator: &str, left: String, right: String) -> Result<String, Stop> {
        Ok(match operator {
            "|" if is_null(&left) => {
                if is_null(&right) {
                    "0".to_owned()
                } else {
                    right
                }
            }
            "|" => left,
            "&" => {
                if is_null(&left) || is_null(&right) {
                    "0".to_owned()
                } else {
                    left
                }
            }
            ":" => self.matching(&left, &right)?,
            "+" | "-" | "*" | "/" | "%" => self.calculate(operator, &left, &right)?,
            _ => {
                let order = match (left.parse::<i64>(), right.parse::<i64>()) {
                    (Ok(left), Ok(right)) => left.cmp(&right),
                    _ => left.cmp(&right),
                };
                let truth = match operator {
                    "<" => order.is_lt(),
                    "<=" => order.is_le(),
                    ">" => order.is_gt(),
                    ">=" => order.is_ge(),
                    "!=" => order.is_ne(),
                    _ => order.is_eq(),
                };
                i32::from(truth).to_string()
            }
        })
    }

    fn calculate(&self, operator: &str, left: &str, right: &str) -> Result<String, Stop> {
        let (left, right) = (self.integer(left)?, self.integer(right)?);
        if right == 0 && matches!(operator, "/" | "%") {
            return self.world.stop(2, "division by zero");
        }
        let value = match operator {
            "+" => left.wrapping_add(right),
            "-" => left.wrapping_sub(right),
            "*" => left.wrapping_mul(right),
            "/" => left.wrapping_div(right),
            _ => left.wrapping_rem(right),
        };
        Ok(value.to_string())
    }

    /// The first group of a pattern at the beginning of the text, or the length
    /// of what it matches.
    fn matching(&self, text: &str, pattern: &str) -> Result<String, Stop> {
        let regex = match Regex::new(&format!("^{pattern}"), Dialect::Basic, false) {
            Ok(regex) => regex,
            Err(mistake) => return self.world.stop(2, mistake),
        };
        let captures = regex.find(text, 0);
        if pattern.contains("\\(") {
            return Ok(captures
                .and_then(|captures| captures[1])
                .map_or(String::new(), |(start, end)| text[start..end].to_owned()));
        }
        let whole = captures.and_then(|captures| captures[0]);
        Ok(whole
            .map_or(0, |(start, end)| text[start..end].chars().count())
            .to_string())
    }

    fn integer(&self, text: &str) -> Result<i64, Stop> {
        match text.parse() {
            Ok(number) => Ok(number),
            Err(_) => self.world.stop(2, "non-numeric argument"),
        }
    }
}

fn is_null(value: &str) -> bool {
    value.is_empty() || value.parse() == Ok(0_i64)
}
