//! test and `[`.

use crate::paths::{Kind, Stat};
use crate::world::{Stop, World};

/// `[ EXPRESSION ]`
pub(super) fn bracket(world: &World, args: &[String]) -> Result<i32, Stop> {
    match args.split_last() {
        Some((last, args)) if last == "]" => test(world, args),
        _ => world.stop(2, "missing ]"),
    }
}

/// `test EXPRESSION`: 0 is true, 1 false, 2 a mistake.
pub(crate) fn test(world: &World, args: &[String]) -> Result<i32, Stop> {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let truth = match args[..] {
        [] => false,
        [one] => !one.is_empty(),
        ["!", one] => one.is_empty(),
        [operator, operand] if is_unary(operator) => unary(world, operator, operand)?,
        // POSIX reads three words by what the middle one is.
        [left, operator, right] if is_binary(operator) => binary(world, left, operator, right)?,
        ["!", left, operator, right] if is_binary(operator) => {
            !binary(world, left, operator, right)?
        }
        _ => {
            let mut expression = Expression {
                world,
                args: &args,
                at: 0,
                depth: 0,
            };
            let truth = expression.or()?;
            if expression.at < args.len() {
                return world.stop(2, &format!("{}: unknown operand", args[expression.at]));
            }
            truth
        }
    };
    Ok(i32::from(!truth))
}

struct Expression<'a> {
    world: &'a World,
    args: &'a [&'a str],
    at: usize,
    depth: usize,
}

impl Expression<'_> {
    fn or(&mut self) -> Result<bool, Stop> {
        let mut truth = self.and()?;
        while self.take("-o") {
            truth |= self.and()?;
        }
        Ok(truth)
    }

    fn and(&mut self) -> Result<bool, Stop> {
        let mut truth = self.not()?;
        while self.take("-a") {
            truth &= self.not()?;
        }
        Ok(truth)
    }

    fn not(&mut self) -> Result<bool, Stop> {
        self.depth += 1;
        if self.depth > 50 {
            return self.world.stop(2, "too complex an expression");
        }
        let truth = if self.take("!") {
            !self.not()?
        } else {
            self.primary()?
        };
        self.depth -= 1;
        Ok(truth)
    }

    fn primary(&mut self) -> Result<bool, Stop> {
        let rest = &self.args[self.at..];
        match *rest {
            [left, operator, right, ..] if is_binary(operator) => {
                self.at += 3;
                binary(self.world, left, operator, right)
            }
            ["(", ..] => {
                self.at += 1;
                let truth = self.or()?;
                if self.take(")") {
                    Ok(truth)
                } else {
                    self.world.stop(2, "closing paren expected")
                }
            }
            [operator, operand, ..] if is_unary(operator) => {
                self.at += 2;
                unary(self.world, operator, operand)
            }
            [word, ..] => {
                self.at += 1;
                Ok(!word.is_empty())
            }
            [] => self.world.stop(2, "argument expected"),
        }
    }

    fn take(&mut self, word: &str) -> bool {
        let found = self.args.get(self.at) == Some(&word);
        self.at += usize::from(found);
        found
    }
}

fn is_unary(operator: &str) -> bool {
    matches!(
        operator,
        "-n" | "-z"
            | "-e"
            | "-f"
            | "-d"
            | "-s"
            | "-r"
            | "-w"
            | "-x"
            | "-L"
            | "-h"
            | "-c"
            | "-b"
            | "-p"
            | "-S"
            | "-t"
    )
}

fn is_binary(operator: &str) -> bool {
    matches!(
        operator,
        "=" | "=="
            | "!="
            | "<"
            | ">"
            | "-eq"
            | "-ne"
            | "-lt"
            | "-le"
            | "-gt"
            | "-ge"
            | "-nt"
            | "-ot"
            | "-ef"
    )
}

fn unary(world: &World, operator: &str, operand: &str) -> Result<bool, Stop> {
    let is = |check: fn(&Stat) -> bool| world.stat(operand).is_ok_and(|stat| check(&stat));
    Ok(match operator {
        "-n" => !operand.is_empty(),
        "-z" => operand.is_empty(),
        "-f" => is(|stat| stat.kind == Kind::File),
        "-d" => is(|stat| stat.kind == Kind::Directory),
        "-c" => is(|stat| stat.kind == Kind::Device),
        "-s" => is(|stat| stat.bytes > 0),
        "-L" | "-h" => {
            let stat = crate::paths::stat(&world.path(operand), false);
            stat.is_ok_and(|stat| stat.kind == Kind::Link)
        }
        // WASI knows no permissions: what can be seen can be used.
        "-e" | "-r" | "-w" | "-x" => is(|_| true),
        _ => false,
    })
}

fn binary(world: &World, left: &str, operator: &str, right: &str) -> Result<bool, Stop> {
    Ok(match operator {
        "=" | "==" => left == right,
        "!=" => left != right,
        "<" => left < right,
        ">" => left > right,
        "-ef" => world.path(left) == world.path(right),
        "-nt" => modified(world, left) > modified(world, right),
        "-ot" => modified(world, left) < modified(world, right),
        _ => {
            let (left, right) = (integer(world, left)?, integer(world, right)?);
            match operator {
                "-eq" => left == right,
                "-ne" => left != right,
                "-lt" => left < right,
                "-le" => left <= right,
                "-gt" => left > right,
                _ => left >= right,
            }
        }
    })
}

fn modified(world: &World, path: &str) -> Option<std::time::SystemTime> {
    world.stat(path).ok().and_then(|stat| stat.modified)
}

fn integer(world: &World, text: &str) -> Result<i64, Stop> {
    match text.trim().parse() {
        Ok(number) => Ok(number),
        Err(_) => world.stop(2, &format!("{text}: bad number")),
    }
}
