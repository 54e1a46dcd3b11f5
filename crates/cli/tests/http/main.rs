//! Requests of pods by `wasi:http`, through the binary.
#![allow(missing_docs, reason = "tests")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "tests measure real time, and stop where something fails"
)]

mod policy;
mod server;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use base64::Engine as _;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use server::Server;

const GUEST: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../wasm-examples/http/http.wasm"
);

/// One run of the guest.
struct Run<'a> {
    annotation: &'a str,
    allowed: &'a [&'a str],
    /// More of the pod's spec.
    more: &'a str,
    roots: Option<&'a Path>,
}

impl<'a> Run<'a> {
    /// The pod names a destination, and the operator allows it.
    fn to(destination: &'a str, allowed: &'a [&'a str]) -> Self {
        Self {
            annotation: destination,
            allowed,
            more: "",
            roots: None,
        }
    }

    fn job(&self, name: &str, args: &[&str]) -> String {
        let args: Vec<String> = args.iter().map(|arg| format!("{arg:?}")).collect();
        let annotation = match self.annotation {
            "" => String::new(),
            text => format!("metadata: {{annotations: {{wasmjob.dev/allow-net: {text:?}}}}}, "),
        };
        format!(
            "{{apiVersion: batch/v1, kind: Job, metadata: {{name: {name}}}, spec: {{backoffLimit: 0, template: \
             {{{annotation}spec: {{restartPolicy: Never, {}containers: [{{name: c, image: {GUEST}, args: [{}]}}]}}}}}}}}\n",
            self.more,
            args.join(", ")
        )
    }

    /// Whether all Jobs completed, what was printed, and the most memory it had, in KiB.
    fn manifest(&self, text: &str) -> (bool, String, u64) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("job.yaml");
        std::fs::write(&file, text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_wasmjob"));
        command.args(["run", "--no-cache", "--logs", "all", "--timeout", "120s"]);
        for destination in self.allowed {
            command.args(["--allow-net", destination]);
        }
        if let Some(roots) = self.roots {
            command.env("SSL_CERT_FILE", roots);
        }
        let out = dir.path().join("out");
        let said = std::fs::File::create(&out).unwrap();
        let mut child = command
            .arg(&file)
            .env("XDG_CONFIG_HOME", dir.path())
            .env("HOME", dir.path())
            .env("RUST_BACKTRACE", "1")
            .stdout(Stdio::from(said.try_clone().unwrap()))
            .stderr(Stdio::from(said))
            .spawn()
            .unwrap();
        let status = PathBuf::from(format!("/proc/{}/status", child.id()));
        let mut peak_kib = 0;
        let ended = loop {
            if let Some(ended) = child.try_wait().unwrap() {
                break ended;
            }
            let text = std::fs::read_to_string(&status).unwrap_or_default();
            let peak = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let peak = peak.and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok());
            peak_kib = peak.unwrap_or(peak_kib);
            std::thread::sleep(std::time::Duration::from_millis(10));
        };
        let said = std::fs::read_to_string(out).unwrap();
        (ended.success(), said, peak_kib)
    }

    fn run(&self, args: &[&str]) -> (bool, String) {
        let (done, said, _) = self.manifest(&self.job("http", args));
        (done, said)
    }

    fn completes(&self, args: &[&str], with: &str) {
        let (done, said) = self.run(args);
        assert!(done && said.contains(with), "{args:?}: {said}");
    }

    fn is_refused(&self, args: &[&str], with: &str) {
        let (done, said) = self.run(args);
        assert!(!done && said.contains(with), "{args:?}: {said}");
    }
}

#[test]
fn a_pod_asks_what_it_names_and_the_operator_allows() {
    let server = Server::start();
    let here = server.here();
    let allowed = [here.as_str()];
    let run = Run::to(&here, &allowed);
    run.completes(&["GET", &server.url("/hello")], "200\n");
    run.completes(&["GET", &server.url("/hello")], "hello");
    run.completes(&["POST", &server.url("/echo"), "abc"], "cba");
    run.completes(
        &["--upload", "3000000", "PUT", &server.url("/length")],
        "3000000",
    );
    run.completes(&["HEAD", &server.url("/nothing-there")], "404");
    run.completes(
        &["--header", "x-own:1", "GET", &server.url("/head?a=b")],
        "404",
    );
    let (done, said) = run.run(&["--header", "x-own:1", "GET", &server.url("/head")]);
    assert!(done && said.contains("GET /head HTTP/1.1"), "{said}");
    assert!(said.contains("x-own: 1"), "{said}");
    assert!(
        said.contains(&format!("host: 127.0.0.1:{}", server.port)),
        "{said}"
    );
    // By a name of its own, which no resolver is asked for.
    let named = format!("http://api.default:{} {here}", server.port);
    let allowed = ["http://*:*", here.as_str()];
    let run = Run {
        more: "hostAliases: [{ip: 127.0.0.1, hostnames: [api.default]}], ",
        ..Run::to(&named, &allowed)
    };
    let url = format!("http://Api.Default:{}/hello", server.port);
    run.completes(&["GET", &url], "hello");
}

#[test]
fn by_default_a_pod_asks_nobody() {
    let server = Server::start();
    let here = server.here();
    let args = ["GET", &*server.url("/hello")];
    Run::to("", &[&here]).is_refused(&args, "HttpRequestDenied");
    Run::to(&here, &[]).is_refused(
        &args,
        "is not allowed by this host, which allows nothing; its operator can allow it with --allow-net",
    );
    // Other doors lead elsewhere: a socket's, those with TLS, another port's.
    let port = server.port;
    for other in [
        format!("tcp:127.0.0.1:{port}"),
        format!("https://127.0.0.1:{port}"),
        "http://127.0.0.1".to_owned(),
        "http://127.0.0.2:*".to_owned(),
    ] {
        Run::to(&other, &[&other]).is_refused(&args, "HttpRequestDenied");
    }
    assert_eq!(server.accepted(), 0);
}

#[test]
fn t42_nothing_leads_to_this_machine_but_its_own_name() {
    let server = Server::start();
    let port = server.port;
    let allowed = ["http://*:*", "http://127.0.0.0/8:*", "http://[::1]:*"];
    let run = Run::to("http://*:*", &allowed);
    for (host, why) in [
        ("127.0.0.1", "HttpRequestDenied"),
        ("[::1]", "HttpRequestDenied"),
        ("[::ffff:127.0.0.1]", "HttpRequestDenied"),
        ("0.0.0.0", "HttpRequestDenied"),
        ("[::]", "HttpRequestDenied"),
        ("169.254.169.254", "HttpRequestDenied"),
        ("2130706433", "HttpRequestDenied"),
        ("0x7f000001", "HttpRequestDenied"),
        ("017700000001", "HttpRequestDenied"),
        ("127.1", "HttpRequestDenied"),
        ("someone@127.0.0.1", "HttpRequestDenied"),
        ("localhost", "DestinationIpProhibited"),
        ("localhost.", "DestinationIpProhibited"),
    ] {
        let url = format!("http://{host}:{port}/hello");
        run.is_refused(&["GET", &url], why);
    }
    // A name that leads here, whoever says so.
    let named = format!("http://api.example:{port}");
    let run = Run {
        more: "hostAliases: [{ip: 127.0.0.1, hostnames: [api.example]}], ",
        ..Run::to(&named, &allowed)
    };
    let url = format!("http://api.example:{port}/hello");
    run.is_refused(&["GET", &url], "DestinationIpProhibited");
    let path = ["GET", "http+unix://%2Frun%2Fdocker.sock/"];
    run.is_refused(&path, "no ");
    run.is_refused(&["CONNECT", &url], "HttpRequestMethodInvalid");
    assert_eq!(server.accepted(), 0);
}

#[test]
fn t42_an_alias_of_the_pods_own_is_no_name_that_the_operator_allowed() {
    let more = "hostAliases: [{ip: 10.255.255.1, hostnames: [x.example.com]}], ";
    let get = ["--connect-ms", "1000", "GET", "http://x.example.com/"];
    let at = |bounds: &[&str]| {
        let run = Run {
            more,
            ..Run::to("http://x.example.com", bounds)
        };
        run.run(&get).1
    };
    for bound in ["http://*.example.com", "http://x.example.com"] {
        let said = at(&[bound]);
        assert!(said.contains("DestinationIpProhibited"), "{bound}: {said}");
    }
    // The operator lists the address as well: it is tried, whatever is there.
    let said = at(&["http://*.example.com", "http://10.255.255.0/24"]);
    assert!(!said.contains("DestinationIpProhibited"), "{said}");
    assert!(!said.contains("HttpRequestDenied"), "{said}");
}

#[test]
fn t42_a_redirect_is_a_request_like_any_other() {
    let (server, other) = (Server::start(), Server::start());
    let here = server.here();
    let to_other = server.url(&format!("/to?{}", other.url("/hello")));
    let to_own = server.url(&format!("/to?{}", server.url("/hello")));
    let allowed = [here.as_str(), &other.here()];
    let run = Run::to(&here, &allowed);
    let (done, said) = run.run(&["--follow", "3", "GET", &to_other]);
    assert!(!done && said.contains("302 leads to"), "{said}");
    assert!(said.contains("HttpRequestDenied"), "{said}");
    assert_eq!(other.accepted(), 0);
    run.completes(&["--follow", "3", "GET", &to_own], "hello");
    let both = format!("{here}, {}", other.here());
    Run::to(&both, &allowed).completes(&["--follow", "3", "GET", &to_other], "hello");
}

#[test]
fn connections_serve_a_guests_next_requests() {
    let server = Server::start();
    let here = server.here();
    let allowed = [here.as_str()];
    let run = Run::to(&here, &allowed);
    run.completes(&["--times", "20", "GET", &server.url("/hello")], "hello");
    assert_eq!(server.accepted(), 1);
    run.completes(
        &["--times", "5", "POST", &server.url("/echo"), "abc"],
        "cba",
    );
    assert_eq!(server.accepted(), 2, "pods share no connection");
    run.completes(&["--times", "5", "HEAD", &server.url("/hello")], "200");
    assert_eq!(server.accepted(), 3);
    run.completes(&["--times", "5", "GET", &server.url("/last")], "last");
    assert_eq!(server.accepted(), 8);
    // One that was ended meanwhile is no error.
    run.completes(&["--times", "20", "GET", &server.url("/hangs-up")], "bye");
    assert_eq!(server.accepted(), 28);
}

#[test]
fn t42_what_a_server_says_is_bounded() {
    let server = Server::start();
    let here = server.here();
    let allowed = [here.as_str()];
    let run = Run::to(&here, &allowed);
    for path in ["/fields", "/long-field"] {
        run.is_refused(&["GET", &server.url(path)], "HttpResponseHeaderSectionSize");
    }
    run.is_refused(&["GET", &server.url("/no-http")], "HttpProtocolError");
    // And the guest is told no more than that.
    let early = ["GET", &server.url("/early")];
    run.is_refused(&early, "after 5 bytes: incomplete HTTP response\n");
    run.is_refused(&["GET", &server.url("/nothing")], "HttpResponseIncomplete");
    // What a guest says, too.
    let bomb = ["--fields", "1000000", "GET", &server.url("/hello")];
    run.is_refused(&bomb, "total size of fields exceeds limit");
    run.completes(&["--fields", "50", "GET", &server.url("/hello")], "hello");
}

#[test]
fn t42_an_endless_body_is_as_long_as_its_guest_reads() {
    let server = Server::start();
    let here = server.here();
    let allowed = [here.as_str()];
    let run = Run::to(&here, &allowed);
    // Somebody who reads a little holds a little, here and at the server.
    let args = ["--take", "1", "--sleep-ms", "2000", "GET"];
    let job = run.job("http", &[&args[..], &[&server.url("/endless")]].concat());
    let (done, said, peak_kib) = run.manifest(&job);
    println!("took 1: {peak_kib} KiB, {} written", server.written());
    assert!(done && said.contains("took 1 bytes"), "{said}");
    assert!(server.written() < 64 << 20, "{}", server.written());
    assert!(peak_kib < 256 << 10, "{peak_kib} KiB");
    // And somebody who reads much does not hold more.
    let args = ["--take", "400000000", "GET"];
    let job = run.job("http", &[&args[..], &[&server.url("/endless")]].concat());
    let (done, said, peak_kib) = run.manifest(&job);
    println!("took all: {peak_kib} KiB");
    assert!(done && said.contains("took 400000000 bytes"), "{said}");
    assert!(peak_kib < 256 << 10, "{peak_kib} KiB");
}

#[test]
fn t42_slow_servers_are_waited_for_as_long_as_a_guest_says() {
    let server = Server::start();
    let here = server.here();
    let allowed = [here.as_str()];
    let run = Run::to(&here, &allowed);
    let silent = ["--first-byte-ms", "300", "GET", &server.url("/silent")];
    run.is_refused(&silent, "ConnectionReadTimeout");
    let stuck = ["--between-bytes-ms", "300", "GET", &server.url("/stuck")];
    let (done, said) = run.run(&stuck);
    assert!(!done && said.contains("after 5 bytes"), "{said}");
    assert!(said.contains("connection read timeout"), "{said}");
    // One who takes his time with what has come waits for nothing.
    let slow = [
        "--between-bytes-ms",
        "300",
        "--sleep-ms",
        "600",
        "--times",
        "2",
    ];
    let url = server.url("/hello");
    run.completes(&[&slow[..], &["GET", &url]].concat(), "hello");
}

#[test]
fn connections_of_a_guest_are_counted() {
    let server = Server::start();
    let here = server.here();
    let allowed = [here.as_str()];
    let run = Run::to(&here, &allowed);
    let args = ["--hold", "12", "--connect-ms", "2000", "GET"];
    let (done, said) = run.run(&[&args[..], &[&server.url("/stuck")]].concat());
    assert!(!done && said.contains("held 8"), "{said}");
    assert!(said.contains("ConnectionLimitReached"), "{said}");
    assert_eq!(server.accepted(), 8);
    run.completes(&["--hold", "8", "GET", &server.url("/stuck")], "held 8");
}

/// Jobs of which one has a deadline, and one completes when the other's connections
/// have ended, which it does not outlive by the process' end.
#[test]
fn connections_end_with_their_pod() {
    for (n, held) in [
        // In the midst of a body that nobody takes, of one that the host takes, and
        // before an answer.
        &["--take", "1", "--sleep-ms", "600000", "GET", "/endless"][..],
        &["--drop", "GET", "/endless"],
        &["GET", "/silent"],
        &["--hold", "8", "--sleep-ms", "600000", "GET", "/stuck"],
        // In the midst of a body of its own.
        &[UNFINISHED, &["--sleep-ms", "600000", "POST", "/length"]].concat(),
        // And one that waits for the next request.
        &["--sleep-ms", "600000", "GET", "/hello"],
    ]
    .into_iter()
    .enumerate()
    {
        let server = Server::start();
        let here = server.here();
        let allowed = [here.as_str()];
        let (path, options) = held.split_last().unwrap();
        let url = server.url(path);
        let run = Run::to(&here, &allowed);
        let dies = Run {
            more: "activeDeadlineSeconds: 3, ",
            ..Run::to(&here, &allowed)
        };
        let dying = dies.job("dies", &[options, &[&url]].concat());
        let joined = server.url("/joined");
        let alone = server.url("/alone");
        let to_alone = server.url(&format!("/to?{alone}"));
        // First that there is one, then that there is none.
        let watching = run.job("joined", &["GET", &joined]);
        let outliving = run.job(
            "outlives",
            &["--follow", "1", "--connect-ms", "30000", "GET", &to_alone],
        );
        let manifest = [watching, dying, outliving].join("---\n");
        let (done, said, _) = run.manifest(&manifest);
        assert!(!done && said.contains("DeadlineExceeded"), "{n}: {said}");
        assert!(said.contains("joined"), "{n}: {said}");
        assert!(said.contains("alone"), "{n}: {said}");
        assert!(!said.contains("others are here"), "{n}: {said}");
        assert_eq!(server.whole(), 0, "{n}");
        assert_eq!(
            server.cut(),
            usize::from(held.starts_with(UNFINISHED)),
            "{n}"
        );
    }
}

/// Half of a body whose length nobody knows.
const UNFINISHED: &[&str] = &["--chunked", "--unfinished", "--upload", "100000"];

#[test]
fn a_body_that_its_guest_did_not_finish_is_not_whole() {
    let server = Server::start();
    let here = server.here();
    let allowed = [here.as_str()];
    let run = Run::to(&here, &allowed);
    let url = server.url("/length");
    let finished = ["--chunked", "--upload", "3000000", "PUT", &url];
    run.completes(&finished, "3000000");
    assert_eq!((server.whole(), server.cut()), (1, 0));
    for _ in 0..5 {
        let (done, said) = run.run(&[UNFINISHED, &["--sleep-ms", "100", "POST", &url]].concat());
        assert!(done && said.contains("unfinished"), "{said}");
    }
    policy::wait("they are cut", || server.cut() + server.whole() == 6);
    assert_eq!(server.whole(), 1);
}

/// An authority, and a server's certificate from it for `names`.
fn tls(dir: &Path, names: &[&str]) -> (PathBuf, Arc<ServerConfig>) {
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_certificate = ca.self_signed(&ca_key).unwrap();
    let issuer = Issuer::new(ca, ca_key);
    let key = KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let certificate = CertificateParams::new(names)
        .unwrap()
        .signed_by(&key, &issuer)
        .unwrap();
    let roots = dir.join("roots.pem");
    let encoded = base64::engine::general_purpose::STANDARD.encode(ca_certificate.der());
    let pem = format!("-----BEGIN CERTIFICATE-----\n{encoded}\n-----END CERTIFICATE-----\n");
    std::fs::write(&roots, pem).unwrap();
    let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], private)
        .unwrap();
    (roots, Arc::new(config))
}

#[test]
fn servers_with_tls_show_who_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let (roots, config) = tls(dir.path(), &["localhost", "127.0.0.1"]);
    let server = Server::with(Some(config));
    let port = server.port;
    let wanted = format!("https://localhost:{port} https://127.0.0.1:{port}");
    let allowed = [
        "https://localhost:*",
        "https://127.0.0.1:*",
        "https://api.example:*",
    ];
    let run = Run {
        roots: Some(&roots),
        ..Run::to(&wanted, &allowed)
    };
    for host in ["localhost", "127.0.0.1"] {
        let url = format!("https://{host}:{port}/hello");
        run.completes(&["--times", "3", "GET", &url], "hello");
    }
    assert_eq!(server.accepted(), 2);
    let url = format!("https://localhost:{port}/echo");
    run.completes(&["POST", &url, "abc"], "cba");
    // Not by whom this machine trusts.
    let url = format!("https://localhost:{port}/hello");
    Run::to(&wanted, &allowed).is_refused(&["GET", &url], "TlsCertificateError");
    // Not by another's name.
    let named = format!("https://api.example:{port} https://127.0.0.1:{port}");
    let other = Run {
        roots: Some(&roots),
        more: "hostAliases: [{ip: 127.0.0.1, hostnames: [api.example]}], ",
        ..Run::to(&named, &allowed)
    };
    let url = format!("https://api.example:{port}/hello");
    other.is_refused(&["GET", &url], "TlsCertificateError");
    // And who has no TLS has none.
    let plain = Server::start();
    let port = plain.port;
    let here = format!("https://127.0.0.1:{port}");
    let run = Run {
        roots: Some(&roots),
        ..Run::to(&here, &allowed)
    };
    let url = format!("{here}/hello");
    let (done, said) = run.run(&["--connect-ms", "3000", "GET", &url]);
    assert!(!done && !said.contains("200"), "{said}");
}
