//! Speaks to the network, as far as it is let: WASI 0.2 has sockets.
//!
//! `net tcp HOST PORT [TEXT]` connects, sends TEXT and prints what comes back;
//! `net udp HOST PORT TEXT` sends one datagram and prints the answer;
//! `net lookup HOST` prints the addresses of a name;
//! `net listen PORT` tries to listen; `net hold HOST PORT N` opens N connections and
//! says how many it got. What is refused is said, and ends it with 1.

use std::env;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream, ToSocketAddrs, UdpSocket};
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["tcp", host, port] => tcp(host, port, ""),
        ["tcp", host, port, text] => tcp(host, port, text),
        ["udp", host, port, text] => udp(host, port, text),
        ["lookup", host] => lookup(host),
        ["listen", port] => listen(port),
        ["hold", host, port, number] => hold(host, port, number),
        _ => {
            eprintln!("usage: net tcp|udp|lookup|listen|hold …; see wasm-examples/README.md");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("net {}: {error}", words.join(" "));
            ExitCode::FAILURE
        }
    }
}

fn port(text: &str) -> io::Result<u16> {
    let wrong = |_| io::Error::new(io::ErrorKind::InvalidInput, "no port");
    text.parse().map_err(wrong)
}

fn tcp(host: &str, number: &str, text: &str) -> io::Result<()> {
    let mut stream = TcpStream::connect((host, port(number)?))?;
    stream.write_all(text.as_bytes())?;
    stream.shutdown(std::net::Shutdown::Write)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    println!("{}", answer.trim_end());
    Ok(())
}

fn udp(host: &str, number: &str, text: &str) -> io::Result<()> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.connect((host, port(number)?))?;
    socket.send(text.as_bytes())?;
    let mut answer = [0; 1500];
    let length = socket.recv(&mut answer)?;
    println!("{}", String::from_utf8_lossy(&answer[..length]));
    Ok(())
}

fn lookup(host: &str) -> io::Result<()> {
    for address in (host, 0).to_socket_addrs()? {
        println!("{}", address.ip());
    }
    Ok(())
}

fn listen(number: &str) -> io::Result<()> {
    let listener = TcpListener::bind(("0.0.0.0", port(number)?))?;
    println!("listening at {}", listener.local_addr()?);
    Ok(())
}

fn hold(host: &str, number: &str, count: &str) -> io::Result<()> {
    let count: usize = count.parse().unwrap_or(1);
    let mut held = Vec::new();
    let mut refused = None;
    for _ in 0..count {
        match TcpStream::connect((host, port(number)?)) {
            Ok(stream) => held.push(stream),
            Err(error) => {
                refused = Some(error);
                break;
            }
        }
    }
    println!("held {}", held.len());
    refused.map_or(Ok(()), Err)
}
