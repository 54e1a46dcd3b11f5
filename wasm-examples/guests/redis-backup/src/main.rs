//! Dumps a Redis database to a file, over TCP.
//!
//! It asks the server at REDIS_HOST and REDIS_PORT (6379), says REDIS_PASSWORD if
//! there is one, and writes all keys below BACKUP_DIR (/backup) as
//! `dump-SECONDS.resp`: commands that `redis-cli --pipe` plays back. The file has its
//! name only once it is whole.

use std::env;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

/// No key or value of Redis is longer.
const BULK_BYTES_MAX: usize = 512 << 20;

fn main() -> ExitCode {
    match backup() {
        Ok(message) => {
            println!("{message}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("redis-backup: {error}");
            ExitCode::FAILURE
        }
    }
}

fn backup() -> io::Result<String> {
    let host = env::var("REDIS_HOST").map_err(|_| other("REDIS_HOST is not set"))?;
    let port = env::var("REDIS_PORT").unwrap_or_else(|_| "6379".to_owned());
    let port: u16 = port.parse().map_err(|_| other("REDIS_PORT is no port"))?;
    let dir = PathBuf::from(env::var("BACKUP_DIR").unwrap_or_else(|_| "/backup".to_owned()));
    let within =
        |step: &str, error: io::Error| io::Error::new(error.kind(), format!("{step}: {error}"));
    let stream = TcpStream::connect((host.as_str(), port))
        .map_err(|error| within(&format!("connect to {host}:{port}"), error))?;
    let mut redis = Redis(BufReader::new(stream));
    if let Ok(password) = env::var("REDIS_PASSWORD") {
        redis.ask(&[b"AUTH", password.as_bytes()])?;
    }
    let seconds = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let done = dir.join(format!("dump-{seconds}.resp"));
    let begun = dir.join(format!(".dump-{seconds}.part"));
    let file = File::create(&begun)
        .map_err(|error| within(&format!("create {}", begun.display()), error))?;
    let mut out = BufWriter::new(file);
    let keys = redis.dump(&mut out)?;
    out.flush()?;
    out.get_ref().sync_all()?;
    fs::rename(&begun, &done)?;
    let bytes = fs::metadata(&done)?.len();
    Ok(format!("{keys} keys, {bytes} bytes in {}", done.display()))
}

/// A connection. WASI cannot have two handles of one.
struct Redis(BufReader<TcpStream>);

/// A reply.
enum Reply {
    Text(Vec<u8>),
    Number(i64),
    List(Vec<Reply>),
    Nothing,
}

impl Redis {
    /// Writes all keys as commands; how many they were.
    fn dump(&mut self, out: &mut impl Write) -> io::Result<u64> {
        let (mut cursor, mut keys) = (b"0".to_vec(), 0);
        loop {
            let Reply::List(mut page) = self.ask(&[b"SCAN", &cursor, b"COUNT", b"100"])? else {
                return Err(other("SCAN did not answer with a list"));
            };
            let (Some(Reply::List(found)), Some(Reply::Text(next))) = (page.pop(), page.pop())
            else {
                return Err(other("SCAN did not answer with a cursor and keys"));
            };
            for key in found {
                let Reply::Text(key) = key else { continue };
                // One that has gone meanwhile is gone.
                let Reply::Text(value) = self.ask(&[b"DUMP", &key])? else {
                    continue;
                };
                let ttl = match self.ask(&[b"PTTL", &key])? {
                    Reply::Number(ttl) if ttl > 0 => ttl,
                    _ => 0,
                };
                let ttl = ttl.to_string();
                write_command(out, &[b"RESTORE", &key, ttl.as_bytes(), &value, b"REPLACE"])?;
                keys += 1;
            }
            if next == b"0" {
                return Ok(keys);
            }
            cursor = next;
        }
    }

    fn ask(&mut self, command: &[&[u8]]) -> io::Result<Reply> {
        let mut bytes = Vec::new();
        write_command(&mut bytes, command)?;
        self.0.get_mut().write_all(&bytes)?;
        self.reply()
    }

    fn reply(&mut self) -> io::Result<Reply> {
        let mut line = String::new();
        self.0.by_ref().take(1 << 16).read_line(&mut line)?;
        let line = line.trim_end();
        let number = |text: &str| {
            text.parse::<i64>()
                .map_err(|_| other("a reply with no number"))
        };
        match line.split_at_checked(1) {
            Some(("+", text)) => Ok(Reply::Text(text.as_bytes().to_vec())),
            Some(("-", text)) => Err(other(text)),
            Some((":", text)) => Ok(Reply::Number(number(text)?)),
            Some(("$", text)) => match usize::try_from(number(text)?) {
                Err(_) => Ok(Reply::Nothing),
                Ok(length) if length > BULK_BYTES_MAX => Err(other("a reply that is too long")),
                Ok(length) => {
                    let mut bytes = vec![0; length + 2];
                    self.0.read_exact(&mut bytes)?;
                    bytes.truncate(length);
                    Ok(Reply::Text(bytes))
                }
            },
            Some(("*", text)) => {
                let length = number(text)?.clamp(0, 1 << 20);
                (0..length)
                    .map(|_| self.reply())
                    .collect::<io::Result<_>>()
                    .map(Reply::List)
            }
            _ => Err(other("no reply of Redis")),
        }
    }
}

fn write_command(out: &mut impl Write, command: &[&[u8]]) -> io::Result<()> {
    write!(out, "*{}\r\n", command.len())?;
    for word in command {
        write!(out, "${}\r\n", word.len())?;
        out.write_all(word)?;
        out.write_all(b"\r\n")?;
    }
    Ok(())
}

fn other(text: &str) -> io::Error {
    io::Error::other(text)
}
