//! What went wrong, in the words of `wasi:http`.

use std::error::Error as _;
use std::io::{self, ErrorKind};

use rustls::AlertDescription;
use wasmtime_wasi_http::Error;

/// A connection that was not made.
pub(super) fn connecting(error: &io::Error) -> Error {
    match error.kind() {
        ErrorKind::ConnectionRefused => Error::ConnectionRefused,
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted => Error::ConnectionTerminated,
        ErrorKind::TimedOut => Error::ConnectionTimeout,
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => {
            Error::DestinationIpUnroutable
        }
        _ if is_out_of_descriptors(error) => Error::ConnectionLimitReached,
        _ => Error::DestinationUnavailable,
    }
}

fn is_out_of_descriptors(error: &io::Error) -> bool {
    let code = error.raw_os_error();
    [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE]
        .iter()
        .any(|errno| code == Some(errno.raw_os_error()))
}

/// A TLS handshake that failed.
pub(super) fn handshake(error: &io::Error) -> Error {
    let tls = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match tls {
        Some(
            rustls::Error::InvalidCertificate(_)
            | rustls::Error::NoCertificatesPresented
            | rustls::Error::UnsupportedNameType,
        ) => Error::TlsCertificateError,
        Some(rustls::Error::AlertReceived(alert)) => alerted(*alert),
        Some(_) => Error::TlsProtocolError,
        None => Error::ConnectionTerminated,
    }
}

fn alerted(alert: AlertDescription) -> Error {
    Error::TlsAlertReceived {
        alert_id: Some(u8::from(alert)),
        alert_message: alert.as_str().map(str::to_owned),
    }
}

/// An exchange that broke off.
pub(super) fn exchange(error: &hyper::Error) -> Error {
    // A body that the guest gave up, and what our own bodies say.
    if error.is_user() {
        return Error::HttpProtocolError;
    }
    if error.is_parse_too_large() {
        return Error::HttpResponseHeaderSectionSize(None);
    }
    if error.is_parse() || error.is_parse_status() {
        return Error::HttpProtocolError;
    }
    if error.is_incomplete_message() || error.is_body_write_aborted() {
        return Error::HttpResponseIncomplete;
    }
    if error.is_timeout() {
        return Error::HttpResponseTimeout;
    }
    if error.is_canceled() || error.is_closed() {
        return Error::ConnectionTerminated;
    }
    let io = error.source().and_then(|source| source.downcast_ref());
    match io.map(io::Error::kind) {
        // In the midst of a body.
        Some(ErrorKind::UnexpectedEof) => Error::HttpResponseIncomplete,
        Some(
            ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe
            | ErrorKind::NotConnected,
        ) => Error::ConnectionTerminated,
        _ => Error::HttpProtocolError,
    }
}
