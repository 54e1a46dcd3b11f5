//! A server that does what its paths say, also what no server should.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// What a test wants to know of it.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) port: u16,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    accepted: AtomicUsize,
    open: AtomicUsize,
    /// Bytes of endless bodies.
    written: AtomicUsize,
    /// Bodies in chunks that came to their end, and that broke off before.
    whole: AtomicUsize,
    cut: AtomicUsize,
    /// Requests that have come to the gate.
    at_gate: AtomicUsize,
    /// The gate is open.
    is_open: AtomicBool,
}

struct Asked {
    head: String,
    body: Vec<u8>,
}

impl Asked {
    fn path(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }
}

/// Whether the connection serves another request.
type Goes = std::io::Result<bool>;

impl Server {
    pub(crate) fn start() -> Self {
        Self::with(None)
    }

    pub(crate) fn with(tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let server = Self {
            port: listener.local_addr().unwrap().port(),
            counts: Arc::default(),
        };
        let shared = server.clone();
        // It ends with the test's process, as do those of its connections.
        std::thread::Builder::new()
            .spawn(move || {
                for stream in listener.incoming() {
                    let (stream, tls, shared) = (stream.unwrap(), tls.clone(), shared.clone());
                    std::thread::Builder::new()
                        .spawn(move || shared.connection(stream, tls))
                        .unwrap();
                }
            })
            .unwrap();
        server
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// The destination that opens it.
    pub(crate) fn here(&self) -> String {
        self.url("")
    }

    pub(crate) fn accepted(&self) -> usize {
        self.counts.accepted.load(Ordering::SeqCst)
    }

    pub(crate) fn written(&self) -> usize {
        self.counts.written.load(Ordering::SeqCst)
    }

    pub(crate) fn whole(&self) -> usize {
        self.counts.whole.load(Ordering::SeqCst)
    }

    pub(crate) fn cut(&self) -> usize {
        self.counts.cut.load(Ordering::SeqCst)
    }

    pub(crate) fn at_gate(&self) -> usize {
        self.counts.at_gate.load(Ordering::SeqCst)
    }

    pub(crate) fn open_gate(&self) {
        self.counts.is_open.store(true, Ordering::SeqCst);
    }

    fn open(&self) -> usize {
        self.counts.open.load(Ordering::SeqCst)
    }

    fn connection(&self, stream: TcpStream, tls: Option<Arc<ServerConfig>>) {
        self.counts.accepted.fetch_add(1, Ordering::SeqCst);
        self.counts.open.fetch_add(1, Ordering::SeqCst);
        // A connection that breaks is what some tests are about.
        match tls {
            None => {
                let _ = self.requests(stream);
            }
            Some(config) => {
                let connection = ServerConnection::new(config).unwrap();
                let _ = self.requests(StreamOwned::new(connection, stream));
            }
        }
        self.counts.open.fetch_sub(1, Ordering::SeqCst);
    }

    fn requests(&self, mut stream: impl Read + Write) -> std::io::Result<()> {
        while let Some(asked) = read(&mut stream, &self.counts)? {
            if !self.answer(&asked, &mut stream)? {
                break;
            }
        }
        Ok(())
    }

    fn answer(&self, asked: &Asked, to: &mut (impl Read + Write)) -> Goes {
        let path = asked.path();
        if let Some(location) = path.strip_prefix("/to?") {
            let head = format!("HTTP/1.1 302 Found\r\nlocation: {location}\r\n");
            return whole(to, &head, b"");
        }
        match path {
            "/hello" if asked.head.starts_with("HEAD ") => {
                to.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n")?;
                to.flush()?;
                Ok(true)
            }
            "/hello" => whole(to, OK, b"hello"),
            "/head" => whole(to, OK, asked.head.as_bytes()),
            "/echo" => {
                let backwards: Vec<u8> = asked.body.iter().rev().copied().collect();
                whole(to, OK, &backwards)
            }
            "/length" => whole(to, OK, asked.body.len().to_string().as_bytes()),
            "/last" => {
                whole(to, "HTTP/1.1 200 OK\r\nconnection: close\r\n", b"last")?;
                Ok(false)
            }
            // Says nothing of it, and hangs up.
            "/hangs-up" => {
                whole(to, OK, b"bye")?;
                Ok(false)
            }
            "/early" => {
                to.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nearly")?;
                Ok(false)
            }
            "/nothing" => Ok(false),
            "/no-http" => {
                to.write_all(b"220 mail.example ESMTP\r\n")?;
                Ok(false)
            }
            "/silent" => until_end(to),
            "/stuck" => {
                to.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nstuck")?;
                to.flush()?;
                until_end(to)
            }
            "/fields" => {
                to.write_all(OK.as_bytes())?;
                for n in 0..1_000_000 {
                    to.write_all(format!("x-{n}: 1\r\n").as_bytes())?;
                }
                Ok(false)
            }
            "/long-field" => {
                to.write_all(OK.as_bytes())?;
                to.write_all(b"x: ")?;
                for _ in 0..1_024 {
                    to.write_all(&[b'x'; 1_024])?;
                }
                Ok(false)
            }
            "/endless" => {
                to.write_all(OK.as_bytes())?;
                to.write_all(b"transfer-encoding: chunked\r\n\r\n")?;
                let chunk = [&b"4000\r\n"[..], &[b'e'; 0x4000], b"\r\n"].concat();
                loop {
                    to.write_all(&chunk)?;
                    self.counts.written.fetch_add(0x4000, Ordering::SeqCst);
                }
            }
            // Leads to `/hello` once the test has opened it.
            "/gate" => {
                self.counts.at_gate.fetch_add(1, Ordering::SeqCst);
                while !self.counts.is_open.load(Ordering::SeqCst) {
                    std::thread::sleep(Duration::from_millis(10));
                }
                let location = self.url("/hello");
                let head = format!("HTTP/1.1 302 Found\r\nlocation: {location}\r\n");
                whole(to, &head, b"")
            }
            // Answers once nobody else is connected.
            "/alone" => {
                for _ in 0..3_000 {
                    if self.open() == 1 {
                        return whole(to, OK, b"alone");
                    }
                    std::thread::sleep(Duration::from_millis(10));
                }
                whole(to, "HTTP/1.1 503 Busy\r\n", b"others are here")
            }
            // Answers once somebody else is connected.
            "/joined" => {
                for _ in 0..3_000 {
                    if self.open() > 1 {
                        return whole(to, OK, b"joined");
                    }
                    std::thread::sleep(Duration::from_millis(10));
                }
                whole(to, "HTTP/1.1 503 Lonely\r\n", b"nobody came")
            }
            _ => whole(to, "HTTP/1.1 404 Not Found\r\n", b"no such path"),
        }
    }
}

const OK: &str = "HTTP/1.1 200 OK\r\n";

fn whole(to: &mut impl Write, head: &str, body: &[u8]) -> Goes {
    let head = format!("{head}content-length: {}\r\n\r\n", body.len());
    to.write_all(&[head.as_bytes(), body].concat())?;
    to.flush()?;
    Ok(true)
}

fn until_end(from: &mut impl Read) -> Goes {
    let mut rest = [0; 1_024];
    while from.read(&mut rest)? > 0 {}
    Ok(false)
}

/// One request; none at the connection's end.
fn read(from: &mut impl Read, counts: &Counts) -> std::io::Result<Option<Asked>> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if from.read(&mut byte)? == 0 {
            return Ok(None);
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    if head.contains("\r\ntransfer-encoding: chunked\r\n") {
        let body = chunks(from);
        let count = if body.is_ok() {
            &counts.whole
        } else {
            &counts.cut
        };
        count.fetch_add(1, Ordering::SeqCst);
        return Ok(Some(Asked { head, body: body? }));
    }
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        (name == "content-length").then(|| value.parse().unwrap())
    });
    let mut body = vec![0; length.unwrap_or(0)];
    from.read_exact(&mut body)?;
    Ok(Some(Asked { head, body }))
}

/// A body in chunks, with the last one.
fn chunks(from: &mut impl Read) -> std::io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            let mut byte = [0];
            from.read_exact(&mut byte)?;
            line.push(byte[0]);
        }
        let text = String::from_utf8(line).unwrap();
        let length = usize::from_str_radix(text.trim(), 16).unwrap();
        let mut chunk = vec![0; length + 2];
        from.read_exact(&mut chunk)?;
        if length == 0 {
            return Ok(body);
        }
        body.extend_from_slice(&chunk[..length]);
    }
}
