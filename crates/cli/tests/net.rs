//! What pods reach on the network, through the binary.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests"
)]

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::process::Command;

const GUEST: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../wasm-examples/net/net.wasm"
);

/// Answers each connection with what it said, backwards.
fn echo() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    // It ends with the test's process.
    std::thread::Builder::new()
        .spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut said = String::new();
                if stream.read_to_string(&mut said).is_ok() {
                    let back: String = said.chars().rev().collect();
                    let _ = stream.write_all(back.as_bytes());
                }
            }
        })
        .unwrap();
    port
}

/// Runs the guest; whether it completed, and all that was printed.
fn run(annotation: &str, allowed: &[&str], args: &[&str], more: &str) -> (bool, String) {
    let dir = tempfile::tempdir().unwrap();
    let args: Vec<String> = args.iter().map(|arg| format!("{arg:?}")).collect();
    let annotation = match annotation {
        "" => String::new(),
        text => format!("metadata: {{annotations: {{wasmjob.dev/allow-net: {text:?}}}}}, "),
    };
    let job = format!(
        "{{apiVersion: batch/v1, kind: Job, metadata: {{name: net}}, spec: {{backoffLimit: 0, template: \
         {{{annotation}spec: {{restartPolicy: Never, {more}containers: [{{name: c, image: {GUEST}, args: [{}]}}]}}}}}}}}",
        args.join(", ")
    );
    let file = dir.path().join("job.yaml");
    std::fs::write(&file, job).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_wasmjob"));
    command.args(["run", "--no-cache", "--logs", "all", "--timeout", "60s"]);
    for destination in allowed {
        command.args(["--allow-net", destination]);
    }
    let output = command
        .arg(&file)
        .env("XDG_CONFIG_HOME", dir.path())
        .env("HOME", dir.path())
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

fn assert_refused(run: (bool, String), why: &str) {
    assert!(!run.0, "{}", run.1);
    assert!(run.1.to_lowercase().contains(why), "{}", run.1);
}

#[test]
fn a_pod_reaches_what_it_names_and_the_operator_allows() {
    let port = echo();
    let here = format!("tcp:127.0.0.1:{port}");
    let text = port.to_string();
    let args = ["tcp", "127.0.0.1", &text, "hello"];
    let (done, said) = run(&here, &[&here], &args, "");
    assert!(done && said.contains("olleh"), "{said}");
    let (done, said) = run(&here, &["tcp:127.0.0.0/8:*"], &args, "");
    assert!(done && said.contains("olleh"), "{said}");
    // By a name of its own, which no resolver is asked for.
    let by_name = format!("tcp:mysql.default:{port} {here}");
    let alias = "hostAliases: [{ip: 127.0.0.1, hostnames: [mysql.default]}], ";
    let args = ["tcp", "mysql.default", &text, "hello"];
    let (done, said) = run(&by_name, &["tcp:*:*", &here], &args, alias);
    assert!(done && said.contains("olleh"), "{said}");
}

#[test]
fn by_default_a_pod_reaches_nothing() {
    let port = echo();
    let here = format!("tcp:127.0.0.1:{port}");
    let text = port.to_string();
    let args = ["tcp", "127.0.0.1", &text, "hello"];
    // The operator allows it, and it did not ask.
    assert_refused(run("", &[&here], &args, ""), "permission denied");
    // It asked, and the operator allows nothing, or something else.
    assert_refused(
        run(&here, &[], &args, ""),
        "is not allowed by this host, which allows nothing",
    );
    let refused = run(&here, &["tcp:10.0.0.0/8:*"], &args, "");
    assert_refused(
        refused,
        "which allows tcp:10.0.0.0/8:*; its operator can allow it with --allow-net",
    );
}

#[test]
fn nothing_leads_to_this_machine_but_its_own_name() {
    let port = echo();
    let text = port.to_string();
    for (wanted, host) in [
        // Not by "everything", not by a wide network.
        ("tcp:*:*".to_owned(), "127.0.0.1"),
        ("tcp:0.0.0.0/0:*".to_owned(), "127.0.0.1"),
        ("tcp:*:*".to_owned(), "0.0.0.0"),
        // Not by a port that is another one.
        (
            format!("tcp:127.0.0.1:{}", port.wrapping_add(1).max(1)),
            "127.0.0.1",
        ),
        ("udp:127.0.0.1:*".to_owned(), "127.0.0.1"),
    ] {
        let allowed = [
            "tcp:*:*",
            "udp:*:*",
            "tcp:127.0.0.0/8:*",
            "udp:127.0.0.0/8:*",
        ];
        let run = run(&wanted, &allowed, &["tcp", host, &text, "hello"], "");
        assert!(!run.0 && !run.1.contains("olleh"), "{}", run.1);
        assert!(
            run.1.contains("[net-") && run.1.contains("(os error "),
            "{}",
            run.1
        );
    }
    // Not by a name that leads here.
    let wanted = format!("tcp:db.example:{port}");
    let alias = "hostAliases: [{ip: 127.0.0.1, hostnames: [db.example]}], ";
    let allowed = ["tcp:*:*", "tcp:127.0.0.0/8:*"];
    let args = ["tcp", "db.example", &text, "hello"];
    assert_refused(run(&wanted, &allowed, &args, alias), "permission denied");
    // Not by a name of the operator's that the pod says leads elsewhere.
    let wanted = format!("tcp:db.example:{port}");
    let alias = "hostAliases: [{ip: 10.255.255.1, hostnames: [db.example]}], ";
    let named = ["tcp:db.example:*", "tcp:*.example:*"];
    assert_refused(run(&wanted, &named, &args, alias), "permission denied");
    // Not by another way to write the address.
    let wanted = "tcp:*:*";
    for host in ["2130706433", "0x7f000001", "::ffff:127.0.0.1", "127.1"] {
        let run = run(wanted, &allowed, &["tcp", host, &text, "hello"], "");
        assert!(!run.0 && !run.1.contains("olleh"), "{host}: {}", run.1);
    }
}

#[test]
fn only_names_that_are_listed_are_looked_up() {
    let wanted = "tcp:localhost:80";
    let allowed = ["tcp:localhost:*"];
    let (done, said) = run(wanted, &allowed, &["lookup", "localhost"], "");
    assert!(
        done && (said.contains("127.0.0.1") || said.contains("::1")),
        "{said}"
    );
    for name in [
        "secrets.attacker.example",
        "localhost.attacker.example",
        "metadata.google.internal",
    ] {
        assert_refused(run(wanted, &allowed, &["lookup", name], ""), "net lookup");
    }
}

#[test]
fn nobody_listens_and_datagrams_go_where_they_may() {
    assert_refused(
        run("tcp:*:*", &["tcp:*:*"], &["listen", "0"], ""),
        "permission denied",
    );
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = socket.local_addr().unwrap().port();
    std::thread::Builder::new()
        .spawn(move || {
            let mut buffer = [0; 100];
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                buffer[..length].reverse();
                let _ = socket.send_to(&buffer[..length], from);
            }
        })
        .unwrap();
    let here = format!("udp:127.0.0.1:{port}");
    let text = port.to_string();
    let args = ["udp", "127.0.0.1", &text, "hello"];
    let (done, said) = run(&here, &[&here], &args, "");
    assert!(done && said.contains("olleh"), "{said}");
    let tcp = format!("tcp:127.0.0.1:{port}");
    assert_refused(run(&tcp, &[&tcp], &args, ""), "net udp");
}

#[test]
fn connections_end_with_their_pod_and_are_counted() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let counted = std::thread::Builder::new()
        .spawn(move || {
            let mut held = Vec::new();
            listener.set_nonblocking(false).unwrap();
            let mut ended = 0;
            for stream in listener.incoming().take(20) {
                held.push(stream.unwrap());
            }
            for mut stream in held {
                // The end of the stream: nobody holds it any more.
                let mut rest = Vec::new();
                stream.read_to_end(&mut rest).unwrap();
                ended += 1;
            }
            ended
        })
        .unwrap();
    let here = format!("tcp:127.0.0.1:{port}");
    let text = port.to_string();
    let (done, said) = run(&here, &[&here], &["hold", "127.0.0.1", &text, "20"], "");
    assert!(done && said.contains("held 20"), "{said}");
    assert_eq!(counted.join().unwrap(), 20);
    // A guest has only so many handles, whatever it opens.
    let many = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = many.local_addr().unwrap().port();
    std::thread::Builder::new()
        .spawn(move || {
            let held: Vec<_> = many.incoming().collect();
            drop(held);
        })
        .unwrap();
    let here = format!("tcp:127.0.0.1:{port}");
    let text = port.to_string();
    let (done, said) = run(&here, &[&here], &["hold", "127.0.0.1", &text, "100000"], "");
    assert!(!done, "{said}");
}

#[test]
fn what_is_no_destination_is_refused_before_anything_runs() {
    let (done, said) = run("db:5432", &[], &["lookup", "db"], "");
    assert!(!done && said.contains("wasmjob.dev/allow-net"), "{said}");
    assert!(
        said.contains("has an unknown protocol: expected tcp:HOST:PORT"),
        "{said}"
    );
    let output = Command::new(env!("CARGO_BIN_EXE_wasmjob"))
        .args(["run", "--allow-net", "db", "none.yaml"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("has no protocol: expected tcp:HOST:PORT"),
        "{said}"
    );
}
