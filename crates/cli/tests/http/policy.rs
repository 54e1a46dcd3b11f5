//! NetworkPolicies, and what else concerns a daemon.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustls::{ServerConnection, StreamOwned};

use crate::server::Server;
use crate::{GUEST, Run};

const NET: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../wasm-examples/net/net.wasm"
);

const PATIENCE: Duration = Duration::from_secs(60);

/// A policy for the pods that `selector` selects.
fn policy(name: &str, selector: &str, rest: &str) -> String {
    format!(
        "{{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {{name: {name}}}, \
         spec: {{podSelector: {{{selector}}}, {rest}}}}}\n"
    )
}

fn to(cidr: &str, more: &str) -> String {
    format!("policyTypes: [Egress], egress: [{{to: [{{ipBlock: {{cidr: {cidr}}}}}]{more}}}]")
}

#[test]
fn a_policy_narrows_what_the_annotation_opens() {
    let server = Server::start();
    let here = server.here();
    let allowed = [here.as_str()];
    let run = Run::to(&here, &allowed);
    let url = server.url("/hello");
    let job = run.job("http", &["GET", &url]);
    let with = |policies: &[String]| {
        let manifest = [policies, std::slice::from_ref(&job)]
            .concat()
            .join("---\n");
        let (done, said, _) = run.manifest(&manifest);
        assert_eq!(done, said.contains("] 200"), "{said}");
        assert!(done || said.contains("HttpRequestDenied"), "{said}");
        (done, said)
    };
    let port = server.port;
    let (low, high) = (port - 1, port.saturating_add(1));
    let just = |rest: &str| with(&[policy("p", "", rest)]).0;
    assert!(just(&to("127.0.0.1/32", "")));
    assert!(just(&to(
        "127.0.0.0/8",
        &format!(", ports: [{{port: {port}}}]")
    )));
    let range = format!(", ports: [{{port: {low}, endPort: {high}}}]");
    assert!(just(&to("0.0.0.0/0", &range)));
    assert!(just("policyTypes: [Egress], egress: [{}]"));
    // Another port, another protocol, a port by name.
    assert!(!just(&to(
        "127.0.0.1/32",
        &format!(", ports: [{{port: {high}}}]")
    )));
    let udp = format!(", ports: [{{protocol: UDP, port: {port}}}]");
    assert!(!just(&to("127.0.0.1/32", &udp)));
    assert!(!just(&to("127.0.0.1/32", ", ports: [{port: http}]")));
    // Other addresses; these, but for some; no addresses at all.
    assert!(!just(&to("10.0.0.0/8", "")));
    assert!(!just(
        "policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 127.0.0.0/8, except: [127.0.0.1/32]}}]}]"
    ));
    assert!(!just(
        "policyTypes: [Egress], egress: [{to: [{podSelector: {}}]}]"
    ));
    assert!(!just("policyTypes: [Egress]"));
    // It opens nothing that the annotation does not.
    let all = policy("p", "", "policyTypes: [Egress], egress: [{}]");
    let other = Run::to("", &allowed).job("http", &["GET", &url]);
    let (done, said, _) = run.manifest(&[all, other].join("---\n"));
    assert!(!done && said.contains("HttpRequestDenied"), "{said}");
    // Rules of several add up.
    let none = policy("none", "", "policyTypes: [Egress]");
    let own = policy("own", "", &to("127.0.0.1/32", ""));
    assert!(with(&[none.clone(), own.clone()]).0);
    // Those that select no pod of ours do nothing, nor do those for who listens.
    let others = policy(
        "others",
        "matchLabels: {app: other}",
        "policyTypes: [Egress]",
    );
    assert!(with(&[others]).0);
    let job_name = "matchExpressions: [{key: job-name, operator: In, values: [http]}]";
    assert!(!with(&[policy("ours", job_name, "policyTypes: [Egress]")]).0);
    let (done, said) = with(&[policy("in", "", "policyTypes: [Ingress]")]);
    assert!(
        done && said.contains("a policy without Egress has no effect"),
        "{said}"
    );
    // One of another namespace is for that one's pods.
    let elsewhere = none.replace("{name: none}", "{name: none, namespace: elsewhere}");
    assert!(with(&[elsewhere]).0);
}

#[test]
fn a_policy_is_for_sockets_too() {
    let server = Server::start();
    let here = format!("tcp:127.0.0.1:{}", server.port);
    let allowed = [here.as_str()];
    let run = Run::to(&here, &allowed);
    let text = server.port.to_string();
    let job = run.job(
        "net",
        &["tcp", "127.0.0.1", &text, "GET /last HTTP/1.1\r\n\r\n"],
    );
    let job = job.replace(GUEST, NET);
    let (done, said, _) = run.manifest(&job);
    assert!(done && said.contains("last"), "{said}");
    let none = policy("none", "", "policyTypes: [Egress]");
    let (done, said, _) = run.manifest(&[none, job].join("---\n"));
    assert!(!done && said.contains("Permission denied"), "{said}");
}

#[test]
fn what_is_no_policy_is_refused_before_anything_runs() {
    let run = Run::to("", &[]);
    let wrong = policy(
        "p",
        "",
        "policyTypes: [Out], egress: [{ports: [{port: 0}]}]",
    );
    let (done, said, _) = run.manifest(&wrong);
    assert!(
        !done && said.contains(r#"Unsupported value: "Out""#),
        "{said}"
    );
    assert!(
        said.contains("must be between 1 and 65535, inclusive"),
        "{said}"
    );
    let unknown = policy("p", "", "egres: []");
    let (_, said, _) = run.manifest(&unknown);
    assert!(said.contains("spec.egres: unknown field"), "{said}");
}

/// Ends a process that a test that fails would leave.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A daemon on `dir`, ready, and the port of its API.
fn serve(dir: &Path, allowed: &[&str]) -> (Running, u16) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wasmjob"));
    command.args(["serve", "--no-cache", "--listen", "127.0.0.1:0"]);
    for destination in allowed {
        command.args(["--allow-net", destination]);
    }
    let child = command
        .arg("--data-dir")
        .arg(dir.join("data"))
        .env("XDG_CONFIG_HOME", dir)
        .env("SSL_CERT_FILE", dir.join("roots.pem"))
        .env_remove("NOTIFY_SOCKET")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut child = Running(child);
    let mut line = String::new();
    let mut said = BufReader::new(child.0.stdout.take().unwrap());
    said.read_line(&mut line).unwrap();
    assert!(line.starts_with("export KUBECONFIG="), "{line}");
    let config = std::fs::read_to_string(dir.join("data/kubeconfig")).unwrap();
    let (_, rest) = config.split_once("https://127.0.0.1:").unwrap();
    let digits = rest.chars().take_while(char::is_ascii_digit);
    (child, digits.collect::<String>().parse().unwrap())
}

/// What a command says that speaks to the daemon.
fn ask(dir: &Path, args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_wasmjob"))
        .args(args)
        .env("WASMJOB_DATA_DIR", dir.join("data"))
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    String::from_utf8(said).unwrap()
}

fn apply(dir: &Path, text: &str) -> String {
    let file = dir.join("applied.yaml");
    std::fs::write(&file, text).unwrap();
    ask(dir, &["apply", "-f", file.to_str().unwrap()])
}

#[track_caller]
pub(crate) fn wait(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "never: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// What the Job's pod says in the end.
#[track_caller]
fn says(dir: &Path, job: &str, text: &str) {
    let mut said = String::new();
    let begun = Instant::now();
    while !said.contains(text) {
        assert!(
            begun.elapsed() < PATIENCE,
            "{job} never says {text}: {said}"
        );
        std::thread::sleep(Duration::from_millis(50));
        said = ask(dir, &["logs", &format!("job/{job}")]);
    }
}

#[test]
fn a_policy_holds_for_pods_that_run_from_when_it_is_there() {
    let server = Server::start();
    let here = server.here();
    let allowed = [here.as_str()];
    let run = Run::to(&here, &allowed);
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let (daemon, _) = serve(dir, &allowed);
    apply(
        dir,
        &run.job("before", &["--follow", "1", "GET", &server.url("/gate")]),
    );
    wait("the pod is at the gate", || server.at_gate() == 1);
    let said = apply(dir, &policy("none", "", "policyTypes: [Egress]"));
    assert!(
        said.contains("networkpolicy.networking.k8s.io/none created"),
        "{said}"
    );
    server.open_gate();
    // It has a connection, and its next request is refused.
    says(dir, "before", "HttpRequestDenied");
    assert_eq!(server.accepted(), 1);
    let get = ["GET", &*server.url("/hello")];
    apply(dir, &run.job("during", &get));
    says(dir, "during", "HttpRequestDenied");

    let said = ask(dir, &["get", "netpol"]);
    assert!(
        said.contains("POD-SELECTOR") && said.contains("<none>"),
        "{said}"
    );
    let said = ask(dir, &["describe", "networkpolicy", "none"]);
    assert!(said.contains("  Policy Types: Egress"), "{said}");
    let said = ask(dir, &["get", "netpol", "none", "-o", "yaml"]);
    assert!(
        said.contains("generation: 1") && said.contains("podSelector: {}"),
        "{said}"
    );

    // It is changed, is kept through a restart, and goes.
    let said = apply(dir, &policy("none", "", &to("127.0.0.0/8", "")));
    assert!(said.contains("none configured"), "{said}");
    apply(dir, &run.job("changed", &get));
    says(dir, "changed", "200\nhello");
    apply(dir, &policy("none", "", &to("10.0.0.0/8", "")));
    drop(daemon);
    let (_daemon, _) = serve(dir, &allowed);
    apply(dir, &run.job("again", &get));
    says(dir, "again", "HttpRequestDenied");
    let said = ask(dir, &["delete", "netpol", "none"]);
    assert!(said.contains("deleted"), "{said}");
    apply(dir, &run.job("after", &get));
    says(dir, "after", "200\nhello");

    // What it cannot do is said, and what is none is refused.
    let said = apply(
        dir,
        &policy(
            "pods",
            "",
            "policyTypes: [Egress], egress: [{to: [{podSelector: {}}]}]",
        ),
    );
    assert!(
        said.contains("a peer by selector matches nothing"),
        "{said}"
    );
    let said = apply(dir, &policy("wrong", "", "egress: [{to: [{}]}]"));
    assert!(said.contains("must specify a peer"), "{said}");
}

#[test]
fn a_policy_takes_hold_of_a_pod_that_gets_its_label() {
    let server = Server::start();
    let here = server.here();
    let allowed = [here.as_str()];
    let run = Run::to(&here, &allowed);
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let (_daemon, _) = serve(dir, &allowed);
    let pod = run.job("suspect", &["--follow", "1", "GET", &server.url("/gate")]);
    apply(
        dir,
        &policy(
            "quarantine",
            "matchLabels: {quarantine: yes-please}",
            "policyTypes: [Egress]",
        ),
    );
    apply(dir, &pod);
    wait("the pod is at the gate", || server.at_gate() == 1);
    let name = ask(dir, &["get", "pods", "-o", "name"]);
    let name = name.trim().trim_start_matches("pod/");
    let labelled = format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, labels: {{quarantine: yes-please}}}}}}"
    );
    let said = apply(dir, &labelled);
    assert!(said.contains(&format!("pod/{name} ")), "{said}");
    server.open_gate();
    says(dir, "suspect", "HttpRequestDenied");
}

#[test]
fn a_policy_holds_for_a_connection_that_is_being_made() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let (_, config) = crate::tls(dir, &["127.0.0.1"]);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let here = format!("https://{}", listener.local_addr().unwrap());
    let allowed = [here.as_str()];
    let (_daemon, _) = serve(dir, &allowed);
    let url = format!("{here}/hello");
    apply(dir, &Run::to(&here, &allowed).job("early", &["GET", &url]));
    // It waits for the server to say who it is.
    let (stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    apply(dir, &policy("none", "", "policyTypes: [Egress]"));
    let mut stream = StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
    let mut asked = [0; 100];
    let read = stream.read(&mut asked);
    assert!(!matches!(read, Ok(1..)), "it has asked: {read:?}");
    says(dir, "early", "DestinationIpProhibited");
}

#[test]
fn t42_the_hosts_own_api_is_not_among_what_a_wide_entry_names() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let wide = "https://127.0.0.0/8:*";
    let (daemon, port) = serve(dir, &[wide, "https://127.0.0.1:*"]);
    let url = format!("https://127.0.0.1:{port}/version");
    let get = ["GET", &*url];
    apply(dir, &Run::to(wide, &[]).job("wide", &get));
    says(dir, "wide", "HttpRequestDenied");
    let exact = format!("https://127.0.0.1:{port}");
    apply(dir, &Run::to(&exact, &[]).job("exact", &get));
    // The pod names it, and the operator names its address only.
    says(dir, "exact", "HttpRequestDenied");
    drop(daemon);
}
