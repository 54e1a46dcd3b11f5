//! Several streams in one WebSocket: the first byte of a message is its channel.

use bytes::{BufMut as _, Bytes, BytesMut};
use serde_json::{Value, json};
use wasmjob::Stream;
use wasmjob_machinery::status::Status;

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
/// The Status that comes last.
const ERROR: u8 = 3;
/// The size of a terminal, of which there is none.
const RESIZE: u8 = 4;
/// In front of a channel that the client closes; since version 5.
const CLOSE: u8 = 255;

/// The protocols that are spoken. Version 4 cannot close the input alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Protocol {
    V4,
    V5,
}

impl Protocol {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::V4 => "v4.channel.k8s.io",
            Self::V5 => "v5.channel.k8s.io",
        }
    }

    /// The first of those offered that is spoken: clients offer what they prefer first.
    pub(super) fn choose<'a>(offered: impl Iterator<Item = &'a str>) -> Result<Self, Status> {
        let known = |name: &str| {
            [Self::V5, Self::V4]
                .into_iter()
                .find(|it| it.name() == name)
        };
        let mut offered = offered.map(str::trim);
        offered.find_map(known).ok_or_else(|| {
            Status::bad_request(format!(
                "none of the offered subprotocols is spoken here, only {} and {}",
                Self::V5.name(),
                Self::V4.name()
            ))
        })
    }
}

/// What a client says in one message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Said {
    Stdin(Bytes),
    EndOfStdin,
    /// What is of no concern, or makes no sense.
    Nothing,
}

/// Reads a message.
pub(super) fn read(protocol: Protocol, mut message: Bytes) -> Said {
    if message.is_empty() {
        return Said::Nothing;
    }
    let data = message.split_off(1);
    match (message[0], protocol) {
        (STDIN, _) => Said::Stdin(data),
        (CLOSE, Protocol::V5) if data.first() == Some(&STDIN) => Said::EndOfStdin,
        (RESIZE, _) => Said::Nothing,
        _ => Said::Nothing,
    }
}

/// A message with output.
pub(super) fn output(stream: Stream, data: &[u8]) -> Bytes {
    let channel = match stream {
        Stream::Stdout => STDOUT,
        Stream::Stderr => STDERR,
    };
    message(channel, data)
}

/// The message that comes last.
pub(super) fn status(status: &Value) -> Bytes {
    message(ERROR, status.to_string().as_bytes())
}

fn message(channel: u8, data: &[u8]) -> Bytes {
    let mut message = BytesMut::with_capacity(data.len() + 1);
    message.put_u8(channel);
    message.extend_from_slice(data);
    message.freeze()
}

/// All went well.
pub(super) fn success() -> Value {
    json!({ "metadata": {}, "status": "Success" })
}

/// A command has ended with another code than 0. What it trapped with, or why it was
/// killed, goes with it.
pub(super) fn exit_code(code: u8, why: &str) -> Value {
    let why = match why.is_empty() {
        true => format!("exit status {code}"),
        false => format!("exit status {code}: {why}"),
    };
    json!({
        "metadata": {},
        "status": "Failure",
        "message": format!("command terminated with non-zero exit code: {why}"),
        "reason": "NonZeroExitCode",
        "details": { "causes": [{ "reason": "ExitCode", "message": code.to_string() }] },
    })
}

/// It did not come to that.
pub(super) fn failure(code: u16, reason: &'static str, message: &str) -> Value {
    Status::new(code, reason, message).to_value()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use wasmjob::Stream;

    use super::{Protocol, Said, exit_code, output, read, status, success};

    #[test]
    fn the_first_byte_is_the_channel() {
        let read = |protocol, bytes: &'static [u8]| read(protocol, Bytes::from_static(bytes));
        let stdin = |bytes: &'static [u8]| Said::Stdin(Bytes::from_static(bytes));
        assert_eq!(read(Protocol::V4, b"\0abc"), stdin(b"abc"));
        assert_eq!(read(Protocol::V4, b"\0"), stdin(b""));
        assert_eq!(read(Protocol::V5, b"\xff\0"), Said::EndOfStdin);
        assert_eq!(read(Protocol::V4, b"\xff\0"), Said::Nothing);
        for nonsense in [
            &b""[..],
            b"\xff",
            b"\xff\x01",
            b"\x04{\"Width\":1,\"Height\":2}",
            b"\x01x",
            b"\x03x",
            b"zzz",
        ] {
            assert_eq!(read(Protocol::V5, nonsense), Said::Nothing, "{nonsense:?}");
        }
        assert_eq!(output(Stream::Stdout, b"x")[..], *b"\x01x");
        assert_eq!(output(Stream::Stderr, b"")[..], *b"\x02");
        assert_eq!(
            status(&success())[..],
            *b"\x03{\"metadata\":{},\"status\":\"Success\"}"
        );
        let failed = exit_code(3, "");
        assert_eq!(failed["reason"], "NonZeroExitCode");
        assert_eq!(failed["details"]["causes"][0]["message"], "3");
    }

    #[test]
    fn what_a_client_prefers_is_spoken_if_it_can_be() {
        let choose = |names: &str| Protocol::choose(names.split(',')).ok();
        let (v4, v5) = (Some(Protocol::V4), Some(Protocol::V5));
        assert_eq!(choose("v5.channel.k8s.io, v4.channel.k8s.io"), v5);
        assert_eq!(choose("v4.channel.k8s.io,v5.channel.k8s.io"), v4);
        assert_eq!(choose("base64.channel.k8s.io, v4.channel.k8s.io"), v4);
        assert_eq!(choose("channel.k8s.io"), None);
        assert_eq!(choose(""), None);
    }
}
