//! Asks a server by HTTP, as far as it is let: WASI 0.2 has `wasi:http`.
//!
//! `http [OPTIONS] METHOD URL [BODY]` prints the status and the body of the answer;
//! what is refused is said, and ends it with 1. Options:
//! - `--times N`: so many requests, one after the other;
//! - `--follow N`: so many redirects are followed;
//! - `--header NAME:VALUE`; `--fields N`: so many more fields;
//! - `--upload N`: a body of so many bytes;
//! - `--chunked`: does not say how long the body is;
//! - `--unfinished`: ends after `--sleep-ms` without having finished the body;
//! - `--connect-ms N`, `--first-byte-ms N`, `--between-bytes-ms N`: its patience;
//! - `--take N`: reads so many bytes of the answer, and says how many they were;
//! - `--drop`: reads nothing of the answer, and waits for its end;
//! - `--hold N`: makes so many requests at once and says how many were answered;
//! - `--sleep-ms N`: waits before it ends, with all that it has.

#[rustfmt::skip]
mod bindings;
mod rt;

use std::collections::VecDeque;
use std::env;
use std::fmt::Debug;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use bindings::wasi::http::outgoing_handler::handle;
use bindings::wasi::http::types::{
    Fields, FutureIncomingResponse, IncomingBody, IncomingResponse, Method, OutgoingBody,
    OutgoingRequest, RequestOptions, Scheme,
};
use bindings::wasi::io::streams::StreamError;

#[derive(Default)]
struct Asked {
    times: u64,
    follow: u64,
    headers: Vec<(String, String)>,
    fields: u64,
    upload: Option<u64>,
    chunked: bool,
    unfinished: bool,
    connect_ms: Option<u64>,
    first_byte_ms: Option<u64>,
    between_bytes_ms: Option<u64>,
    take: Option<u64>,
    drop: bool,
    hold: u64,
    sleep_ms: u64,
    method: String,
    url: String,
    body: Option<String>,
}

fn main() -> ExitCode {
    let Some(asked) = read(env::args().skip(1).collect()) else {
        eprintln!("usage: http [OPTIONS] METHOD URL [BODY]; see wasm-examples/README.md");
        return ExitCode::from(2);
    };
    let done = match asked.hold {
        0 => (0..asked.times.max(1)).try_for_each(|_| ask(&asked)),
        number => hold(&asked, number),
    };
    if asked.hold == 0 {
        std::thread::sleep(Duration::from_millis(asked.sleep_ms));
    }
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("http {} {}: {error}", asked.method, asked.url);
            ExitCode::FAILURE
        }
    }
}

fn read(mut args: VecDeque<String>) -> Option<Asked> {
    let mut asked = Asked::default();
    while let Some(arg) = args.pop_front() {
        if !arg.starts_with("--") {
            asked.method = arg;
            asked.url = args.pop_front()?;
            asked.body = args.pop_front();
            return args.is_empty().then_some(asked);
        }
        match arg.as_str() {
            "--drop" => asked.drop = true,
            "--chunked" => asked.chunked = true,
            "--unfinished" => asked.unfinished = true,
            _ => valued(&mut asked, &arg, &args.pop_front()?)?,
        }
    }
    None
}

/// Takes an option that has a value.
fn valued(asked: &mut Asked, arg: &str, value: &str) -> Option<()> {
    if arg == "--header" {
        let (name, value) = value.split_once(':')?;
        asked.headers.push((name.to_owned(), value.to_owned()));
        return Some(());
    }
    let number = value.parse().ok()?;
    match arg {
        "--times" => asked.times = number,
        "--follow" => asked.follow = number,
        "--fields" => asked.fields = number,
        "--upload" => asked.upload = Some(number),
        "--connect-ms" => asked.connect_ms = Some(number),
        "--first-byte-ms" => asked.first_byte_ms = Some(number),
        "--between-bytes-ms" => asked.between_bytes_ms = Some(number),
        "--take" => asked.take = Some(number),
        "--hold" => asked.hold = number,
        "--sleep-ms" => asked.sleep_ms = number,
        _ => return None,
    }
    Some(())
}

/// An error's name, as the interface has it.
fn named(error: impl Debug) -> String {
    format!("{error:?}")
}

fn ask(asked: &Asked) -> Result<(), String> {
    let mut url = asked.url.clone();
    let mut redirects = 0;
    loop {
        let response = answer(&send(asked, &url)?)?;
        let status = response.status();
        let fields = response.headers().entries();
        let location = fields.iter().find(|(name, _)| name == "location");
        if let (Some((_, to)), true) = (location, redirects < asked.follow) {
            redirects += 1;
            url = String::from_utf8_lossy(to).into_owned();
            println!("{status} leads to {url}");
            continue;
        }
        println!("{status}");
        let body = response.consume().map_err(|()| "the answer has no body")?;
        if asked.drop {
            let end = IncomingBody::finish(body);
            end.subscribe().block();
            return Ok(());
        }
        return print(asked, &body);
    }
}

/// Prints a body, or tells how much of it came.
fn print(asked: &Asked, body: &IncomingBody) -> Result<(), String> {
    let stream = body.stream().map_err(|()| "the body has no stream")?;
    let mut bytes = 0;
    let mut out = std::io::stdout();
    loop {
        let left = asked.take.map_or(u64::MAX, |take| take - bytes);
        if left == 0 {
            println!("took {bytes} bytes");
            std::thread::sleep(Duration::from_millis(asked.sleep_ms));
            return Ok(());
        }
        match stream.blocking_read(left.min(64 << 10)) {
            Ok(read) => {
                bytes += read.len() as u64;
                if asked.take.is_none() {
                    out.write_all(&read).map_err(|error| error.to_string())?;
                }
            }
            Err(StreamError::Closed) => break,
            Err(StreamError::LastOperationFailed(error)) => {
                return Err(format!("after {bytes} bytes: {}", error.to_debug_string()));
            }
        }
    }
    match asked.take {
        Some(_) => println!("took {bytes} bytes, and that was all"),
        None => println!(),
    }
    Ok(())
}

/// Sends a request with its body.
fn send(asked: &Asked, url: &str) -> Result<FutureIncomingResponse, String> {
    let first = Fields::new();
    let between = if asked.unfinished {
        many()?
    } else {
        Vec::new()
    };
    let fields = Fields::new();
    for (name, value) in &asked.headers {
        fields.append(name, value.as_bytes()).map_err(named)?;
    }
    for n in 0..asked.fields {
        fields.append(&format!("x-{n}"), b"1").map_err(named)?;
    }
    let upload = asked
        .upload
        .map(|bytes| vec![b'u'; usize::try_from(bytes).unwrap_or(0)]);
    let text = asked.body.as_ref().map(|text| text.clone().into_bytes());
    let content = upload.or(text);
    if let (Some(content), false) = (&content, asked.chunked) {
        let length = content.len().to_string();
        let appended = fields.append("content-length", length.as_bytes());
        appended.map_err(named)?;
    }
    let (scheme, rest) = url.split_once("://").ok_or("no URL")?;
    let (authority, path) = match rest.find(['/', '?']) {
        Some(at) => rest.split_at(at),
        None => (rest, "/"),
    };
    let request = OutgoingRequest::new(fields);
    // The body's handle takes this one's place.
    drop(first);
    let wrong = |what: &'static str| move |()| format!("no {what}");
    let method = match asked.method.as_str() {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "DELETE" => Method::Delete,
        "CONNECT" => Method::Connect,
        other => Method::Other(other.to_owned()),
    };
    let scheme = match scheme {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        other => Scheme::Other(other.to_owned()),
    };
    request.set_method(&method).map_err(wrong("method"))?;
    request.set_scheme(Some(&scheme)).map_err(wrong("scheme"))?;
    request
        .set_authority(Some(authority))
        .map_err(wrong("authority"))?;
    request
        .set_path_with_query(Some(path))
        .map_err(wrong("path"))?;
    let body = match content {
        Some(content) => Some((request.body().map_err(wrong("body"))?, content)),
        None => None,
    };
    let response = handle(request, options(asked)).map_err(named)?;
    if let Some((body, content)) = body {
        // What the server does not want to read, its answer may explain.
        let written = write(&body, &content);
        if asked.unfinished {
            println!("unfinished");
            std::thread::sleep(Duration::from_millis(asked.sleep_ms));
            // The host drops what is left: the body, these, and the answer to come.
            std::mem::forget(between);
            std::process::exit(0);
        }
        if written.is_ok() {
            OutgoingBody::finish(body, None).map_err(named)?;
        }
    }
    Ok(response)
}

/// Handles that take a host a while to drop.
fn many() -> Result<Vec<Fields>, String> {
    let mut many = Vec::new();
    for _ in 0..100 {
        let fields = Fields::new();
        for n in 0..20 {
            fields.append(&format!("x-{n}"), b"1").map_err(named)?;
        }
        many.push(fields);
    }
    Ok(many)
}

fn write(body: &OutgoingBody, content: &[u8]) -> Result<(), String> {
    let stream = body.write().map_err(|()| "the body has no stream")?;
    for chunk in content.chunks(4096) {
        stream.blocking_write_and_flush(chunk).map_err(named)?;
    }
    Ok(())
}

fn options(asked: &Asked) -> Option<RequestOptions> {
    let nanos = |ms: Option<u64>| ms.map(|ms| ms * 1_000_000);
    let options = RequestOptions::new();
    options.set_connect_timeout(nanos(asked.connect_ms)).ok()?;
    options
        .set_first_byte_timeout(nanos(asked.first_byte_ms))
        .ok()?;
    options
        .set_between_bytes_timeout(nanos(asked.between_bytes_ms))
        .ok()?;
    Some(options)
}

/// Waits for the head of an answer.
fn answer(response: &FutureIncomingResponse) -> Result<IncomingResponse, String> {
    loop {
        match response.get() {
            Some(Ok(answer)) => return answer.map_err(named),
            Some(Err(())) => return Err("the answer was taken before".to_owned()),
            None => response.subscribe().block(),
        }
    }
}

/// Makes many requests, whose answers it does not read.
fn hold(asked: &Asked, number: u64) -> Result<(), String> {
    let sent: Vec<_> = (0..number).map(|_| send(asked, &asked.url)).collect();
    let mut held = Vec::new();
    let mut refused = None;
    for response in sent {
        match response.and_then(|response| answer(&response)) {
            Ok(response) => held.push(response),
            Err(error) => refused = Some(error),
        }
    }
    println!("held {}", held.len());
    std::thread::sleep(Duration::from_millis(asked.sleep_ms));
    refused.map_or(Ok(()), Err)
}
