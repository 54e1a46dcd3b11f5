//! Containers, and the template of pods, described.

use serde_json::Value;

use super::parts::{annotations, entries, items, labels, list, plain, time, truth};
use super::safe;
use super::volumes::volumes;
use crate::client::api::text;
use crate::client::tabs::Tabbed;

/// What containers belong to.
#[derive(Clone, Copy)]
pub(super) enum Owner<'a> {
    /// A pod, and the states of the containers.
    Pod(&'a Value, &'a Value),
    /// A template.
    Template,
}

impl<'a> Owner<'a> {
    fn status(self, container: &Value) -> Option<&'a Value> {
        match self {
            Self::Pod(_, statuses) => items(statuses)
                .iter()
                .find(|status| status["name"] == container["name"]),
            Self::Template => None,
        }
    }

    /// A field of the pod, as environments have it.
    fn field(self, path: &str) -> String {
        let Self::Pod(pod, _) = self else {
            return String::new();
        };
        let (path, key) = match path.split_once("['") {
            Some((path, key)) => (path, key.strip_suffix("']")),
            None => (path, None),
        };
        let mut value = pod;
        for name in path.split('.').chain(key) {
            value = &value[name];
        }
        plain(value)
    }
}

/// What pods are made from.
pub(super) fn template(template: &Value, out: &mut Tabbed) {
    let spec = &template["spec"];
    out.line("Pod Template:");
    labels("  Labels", &template["metadata"]["labels"], out);
    if !entries(&template["metadata"]["annotations"]).is_empty() {
        annotations("  Annotations", &template["metadata"]["annotations"], out);
    }
    if !text(spec, "/serviceAccountName").is_empty() {
        out.field("  Service Account", text(spec, "/serviceAccountName"));
    }
    if !items(&spec["initContainers"]).is_empty() {
        containers(
            "  Init Containers",
            &spec["initContainers"],
            Owner::Template,
            out,
        );
    }
    containers("  Containers", &spec["containers"], Owner::Template, out);
    volumes(&spec["volumes"], "  ", out);
    if !text(spec, "/priorityClassName").is_empty() {
        out.field("  Priority Class Name", text(spec, "/priorityClassName"));
    }
    labels("  Node-Selectors", &spec["nodeSelector"], out);
    tolerations("  Tolerations", &spec["tolerations"], out);
}

pub(super) fn containers(title: &str, containers: &Value, owner: Owner<'_>, out: &mut Tabbed) {
    let none = if items(containers).is_empty() {
        " <none>"
    } else {
        ""
    };
    out.line(format_args!("{title}:{none}"));
    for container in items(containers) {
        let indent = match owner {
            Owner::Pod(..) => "  ",
            Owner::Template => "   ",
        };
        out.line(format_args!("{indent}{}:", text(container, "/name")));
        let status = owner.status(container);
        basics(container, status, out);
        words("Command", &container["command"], out);
        words("Args", &container["args"], out);
        if let Some(status) = status {
            states(status, out);
        }
        quantities("Limits", &container["resources"]["limits"], out);
        quantities("Requests", &container["resources"]["requests"], out);
        for (title, name) in [
            ("Liveness", "livenessProbe"),
            ("Readiness", "readinessProbe"),
            ("Startup", "startupProbe"),
        ] {
            if !container[name].is_null() {
                out.field(&format!("    {title}"), probe(&container[name]));
            }
        }
        sources(&container["envFrom"], out);
        environment(container, owner, out);
        mounts(&container["volumeMounts"], out);
    }
}

fn basics(container: &Value, status: Option<&Value>, out: &mut Tabbed) {
    if let Some(status) = status {
        out.field("    Container ID", text(status, "/containerID"));
    }
    out.field("    Image", safe(text(container, "/image")));
    if let Some(status) = status {
        out.field("    Image ID", text(status, "/imageID"));
    }
    for (title, name) in [("Port", "containerPort"), ("Host Port", "hostPort")] {
        let port = |port: &Value| {
            let protocol = text(port, "/protocol");
            format!("{}/{protocol}", port[name].as_i64().unwrap_or(0))
        };
        let ports: Vec<String> = items(&container["ports"]).iter().map(port).collect();
        match ports.as_slice() {
            [] => out.field(&format!("    {title}"), "<none>"),
            [port] => out.field(&format!("    {title}"), port),
            ports => out.field(&format!("    {title}s"), ports.join(", ")),
        }
    }
}

fn words(title: &str, words: &Value, out: &mut Tabbed) {
    if items(words).is_empty() {
        return;
    }
    out.line(format_args!("    {title}:"));
    for word in items(words) {
        for line in word.as_str().unwrap_or_default().split('\n') {
            out.line(format_args!("      {}", safe(line)));
        }
    }
}

fn states(status: &Value, out: &mut Tabbed) {
    state("State", &status["state"], out);
    if !status["lastState"]["terminated"].is_null() {
        state("Last State", &status["lastState"], out);
    }
    out.field("    Ready", truth(&status["ready"]));
    out.field(
        "    Restart Count",
        status["restartCount"].as_i64().unwrap_or(0),
    );
}

fn state(title: &str, state: &Value, out: &mut Tabbed) {
    let title = format!("    {title}");
    let optional = |name: &str, value: &Value, out: &mut Tabbed| {
        if !value.is_null() && value != "" {
            out.field(&format!("      {name}"), plain(value));
        }
    };
    if !state["running"].is_null() {
        out.field(&title, "Running");
        out.field("      Started", time(&state["running"]["startedAt"]));
    } else if !state["terminated"].is_null() {
        let end = &state["terminated"];
        out.field(&title, "Terminated");
        optional("Reason", &end["reason"], out);
        optional("Message", &end["message"], out);
        out.field("      Exit Code", end["exitCode"].as_i64().unwrap_or(0));
        if end["signal"].as_i64().is_some_and(|signal| signal > 0) {
            optional("Signal", &end["signal"], out);
        }
        out.field("      Started", time(&end["startedAt"]));
        out.field("      Finished", time(&end["finishedAt"]));
    } else {
        out.field(&title, "Waiting");
        optional("Reason", &state["waiting"]["reason"], out);
    }
}

fn quantities(title: &str, quantities: &Value, out: &mut Tabbed) {
    if !entries(quantities).is_empty() {
        out.line(format_args!("    {title}:"));
    }
    for (name, quantity) in entries(quantities) {
        out.field(&format!("      {name}"), plain(quantity));
    }
}

fn probe(probe: &Value) -> String {
    let number = |name: &str| probe[name].as_i64().unwrap_or(0);
    let times = format!(
        "delay={}s timeout={}s period={}s #success={} #failure={}",
        number("initialDelaySeconds"),
        number("timeoutSeconds"),
        number("periodSeconds"),
        number("successThreshold"),
        number("failureThreshold")
    );
    let what = match &probe["exec"] {
        Value::Null => "unknown".to_owned(),
        exec => {
            let words: Vec<String> = items(&exec["command"]).iter().map(plain).collect();
            format!("exec [{}]", words.join(" "))
        }
    };
    format!("{what} {times}")
}

fn sources(sources: &Value, out: &mut Tabbed) {
    if items(sources).is_empty() {
        return;
    }
    out.line("    Environment Variables from:");
    for source in items(sources) {
        let (kind, from) = match &source["configMapRef"] {
            Value::Null => ("Secret", &source["secretRef"]),
            map => ("ConfigMap", map),
        };
        let prefix = match text(source, "/prefix") {
            "" => String::new(),
            prefix => format!(" with prefix '{}'", safe(prefix)),
        };
        let optional = from["optional"] == true;
        let name = text(from, "/name");
        out.line(format_args!(
            "      {name}\t{kind}{prefix}\tOptional: {optional}"
        ));
    }
}

fn environment(container: &Value, owner: Owner<'_>, out: &mut Tabbed) {
    let variables = items(&container["env"]);
    if variables.is_empty() {
        return out.line("    Environment:\t<none>");
    }
    out.line("    Environment:");
    for variable in variables {
        let name = text(variable, "/name");
        let from = &variable["valueFrom"];
        if from.is_null() {
            let mut title = format!("      {name}:");
            for line in text(variable, "/value").split('\n') {
                out.line(format_args!("{title}\t{}", safe(line)));
                "      ".clone_into(&mut title);
            }
        } else {
            let value = value_from(from, container, owner);
            out.field(&format!("      {name}"), value);
        }
    }
}

fn value_from(from: &Value, container: &Value, owner: Owner<'_>) -> String {
    let field = &from["fieldRef"];
    if !field.is_null() {
        let path = text(field, "/fieldPath");
        let version = text(field, "/apiVersion");
        return format!("{} ({version}:{path})", owner.field(path));
    }
    let resource = &from["resourceFieldRef"];
    if !resource.is_null() {
        let name = text(resource, "/resource");
        let (kind, which) = name.split_once('.').unwrap_or((name, ""));
        let value = match &container["resources"][kind][which] {
            Value::Null if kind == "limits" => "node allocatable".to_owned(),
            value => plain(value),
        };
        return format!("{value} ({name})");
    }
    let (what, key) = match &from["configMapKeyRef"] {
        Value::Null => ("in secret", &from["secretKeyRef"]),
        key => ("of config map", key),
    };
    format!(
        "<set to the key '{}' {what} '{}'>\tOptional: {}",
        text(key, "/key"),
        text(key, "/name"),
        key["optional"] == true
    )
}

fn mounts(mounts: &Value, out: &mut Tabbed) {
    if items(mounts).is_empty() {
        return out.line("    Mounts:\t<none>");
    }
    out.line("    Mounts:");
    let mut mounts: Vec<&Value> = items(mounts).iter().collect();
    mounts.sort_by_key(|mount| text(mount, "/mountPath").to_owned());
    for mount in mounts {
        let access = if mount["readOnly"] == true {
            "ro"
        } else {
            "rw"
        };
        let path = match text(mount, "/subPath") {
            "" => String::new(),
            path => format!(",path={path:?}"),
        };
        out.line(format_args!(
            "      {} from {} ({access}{path})",
            safe(text(mount, "/mountPath")),
            text(mount, "/name")
        ));
    }
}

pub(super) fn tolerations(title: &str, tolerations: &Value, out: &mut Tabbed) {
    let line = |toleration: &Value| {
        let part = |name: &str| text(toleration, name);
        let mut line = part("/key").to_owned();
        if !part("/value").is_empty() {
            line += &format!("={}", part("/value"));
        }
        if !part("/effect").is_empty() {
            line += &format!(":{}", part("/effect"));
        }
        if part("/operator") == "Exists" && part("/value").is_empty() {
            line += if line.is_empty() {
                "op=Exists"
            } else {
                " op=Exists"
            };
        }
        if let Some(seconds) = toleration["tolerationSeconds"].as_i64() {
            line += &format!(" for {seconds}s");
        }
        line
    };
    list(title, items(tolerations).iter().map(line), out);
}
