//! Fields that change isolation or meaning, and that we do not act on. Running
//! such a pod without them would be another pod than was asked for.

use k8s_openapi::api::core::v1::{Container, EnvVar, PodSpec, Probe, SecurityContext};

use super::SUPPORTED_RESOURCES;
use crate::field::{Error, ErrorList, Path};
use crate::validation::volume_sources;

const NAMESPACES: &str = "not supported: a module shares no namespace with the host";
const NOT_YET: &str = "not supported yet";

/// Everything in `spec` (at `path`) that wasmjob refuses, each with its reason.
#[must_use]
pub fn refusals(spec: &PodSpec, path: &Path) -> ErrorList {
    let mut refusals = Refusals(Vec::new());
    refusals.pod(spec, path);
    let init = spec.init_containers.as_deref().unwrap_or_default();
    for (field, containers) in [("initContainers", init), ("containers", &spec.containers)] {
        for (index, container) in containers.iter().enumerate() {
            refusals.container(container, &path.child(field).index(index));
        }
    }
    refusals.0
}

struct Refusals(ErrorList);

impl Refusals {
    fn when(&mut self, is_set: bool, path: &Path, field: &str, reason: &str) {
        if is_set {
            self.0.push(Error::forbidden(&path.child(field), reason));
        }
    }

    fn pod(&mut self, spec: &PodSpec, path: &Path) {
        let host = "not supported: a module never shares the host's network";
        self.when(spec.host_network == Some(true), path, "hostNetwork", host);
        self.when(spec.host_pid == Some(true), path, "hostPID", NAMESPACES);
        self.when(spec.host_ipc == Some(true), path, "hostIPC", NAMESPACES);
        let users = "not supported: a module has no users to map";
        self.when(spec.host_users == Some(false), path, "hostUsers", users);
        let shared = "not supported: containers here are no processes";
        let shares = spec.share_process_namespace == Some(true);
        self.when(shares, path, "shareProcessNamespace", shared);
        let claims = spec
            .resource_claims
            .as_ref()
            .is_some_and(|list| !list.is_empty());
        self.when(
            claims,
            path,
            "resourceClaims",
            "not supported: there are no devices to claim",
        );
        let gates = spec
            .scheduling_gates
            .as_ref()
            .is_some_and(|list| !list.is_empty());
        self.when(
            gates,
            path,
            "schedulingGates",
            "not supported: nothing here lifts gates",
        );
        let readiness = spec
            .readiness_gates
            .as_ref()
            .is_some_and(|list| !list.is_empty());
        self.when(
            readiness,
            path,
            "readinessGates",
            "not supported: nothing here sets them",
        );
        let os = spec.os.as_ref().is_some_and(|os| os.name == "windows");
        self.when(
            os,
            path,
            "os",
            "not supported: a module is WASI, not Windows",
        );
        let group = spec.scheduling_group.is_some();
        self.when(
            group,
            path,
            "schedulingGroup",
            "not supported: pods start one by one",
        );
        let resources = spec
            .resources
            .as_ref()
            .is_some_and(|r| *r != Default::default());
        let message = "not supported yet: set the resources of the containers";
        self.when(resources, path, "resources", message);
        if let Some(context) = &spec.security_context {
            let path = path.child("securityContext");
            let sysctls = context
                .sysctls
                .as_ref()
                .is_some_and(|list| !list.is_empty());
            self.when(
                sysctls,
                &path,
                "sysctls",
                "not supported: a module has no kernel to tune",
            );
            let windows = context.windows_options.is_some();
            self.when(
                windows,
                &path,
                "windowsOptions",
                "not supported: a module is not Windows",
            );
        }
        for (index, volume) in spec.volumes.iter().flatten().enumerate() {
            for source in volume_sources(volume) {
                let is_ours = matches!(
                    source.as_str(),
                    "configMap"
                        | "downwardAPI"
                        | "emptyDir"
                        | "hostPath"
                        | "persistentVolumeClaim"
                        | "projected"
                        | "secret"
                );
                let message = "not supported yet: volumes are configMap, downwardAPI, emptyDir, hostPath, persistentVolumeClaim, projected or secret";
                let path = path.child("volumes").index(index);
                self.when(!is_ours, &path, &source, message);
            }
            let projected = volume.projected.as_ref();
            let sources = projected.and_then(|it| it.sources.as_ref());
            for (place, source) in sources.into_iter().flatten().enumerate() {
                let list = path
                    .child("volumes")
                    .index(index)
                    .child("projected.sources");
                let path = list.index(place);
                let message = "not supported yet: what is projected is configMap, downwardAPI, secret or serviceAccountToken";
                let bundle = source.cluster_trust_bundle.is_some();
                self.when(bundle, &path, "clusterTrustBundle", message);
                let certificate = source.pod_certificate.is_some();
                self.when(certificate, &path, "podCertificate", message);
            }
            let medium = volume
                .empty_dir
                .as_ref()
                .and_then(|dir| dir.medium.as_deref());
            let is_huge = medium.is_some_and(|medium| medium.starts_with("HugePages"));
            let path = path.child("volumes").index(index);
            self.when(
                is_huge,
                &path,
                "emptyDir.medium",
                "not supported: there are no huge pages",
            );
        }
    }

    fn container(&mut self, container: &Container, path: &Path) {
        let terminal = "not supported: a Job's modules have no terminal";
        self.when(container.stdin == Some(true), path, "stdin", terminal);
        self.when(container.tty == Some(true), path, "tty", terminal);
        let devices = container
            .volume_devices
            .as_ref()
            .is_some_and(|list| !list.is_empty());
        let message = "not supported: a module cannot open block devices";
        self.when(devices, path, "volumeDevices", message);
        if let Some(lifecycle) = &container.lifecycle {
            let path = path.child("lifecycle");
            let message = "not supported: nothing can be run inside a running module";
            self.when(lifecycle.post_start.is_some(), &path, "postStart", message);
            self.when(lifecycle.pre_stop.is_some(), &path, "preStop", message);
            let message = "not supported: WASI has no signals";
            self.when(
                lifecycle.stop_signal.is_some(),
                &path,
                "stopSignal",
                message,
            );
        }
        for (index, port) in container.ports.iter().flatten().enumerate() {
            let is_set = port.host_port.unwrap_or(0) != 0;
            let message = "not supported: a module cannot listen on the host";
            self.when(
                is_set,
                &path.child("ports").index(index),
                "hostPort",
                message,
            );
        }
        for (index, mount) in container.volume_mounts.iter().flatten().enumerate() {
            let path = path.child("volumeMounts").index(index);
            let propagation = mount.mount_propagation.as_deref().unwrap_or("None");
            let message = "not supported: a module mounts nothing itself";
            self.when(propagation != "None", &path, "mountPropagation", message);
        }
        for (index, variable) in container.env.iter().flatten().enumerate() {
            self.env(variable, &path.child("env").index(index));
        }
        self.probes(container, path);
        self.resources(container, &path.child("resources"));
        if let Some(context) = &container.security_context {
            self.security_context(context, &path.child("securityContext"));
        }
    }

    fn env(&mut self, variable: &EnvVar, path: &Path) {
        let Some(source) = &variable.value_from else {
            return;
        };
        let path = path.child("valueFrom");
        self.when(source.file_key_ref.is_some(), &path, "fileKeyRef", NOT_YET);
    }

    fn probes(&mut self, container: &Container, path: &Path) {
        let probes = [
            ("livenessProbe", &container.liveness_probe),
            ("readinessProbe", &container.readiness_probe),
            ("startupProbe", &container.startup_probe),
        ];
        for (field, probe) in probes {
            if let Some(probe) = probe {
                self.probe(probe, &path.child(field));
            }
        }
    }

    fn probe(&mut self, probe: &Probe, path: &Path) {
        let message = "not supported: a module has no network address; use exec";
        self.when(probe.http_get.is_some(), path, "httpGet", message);
        self.when(probe.tcp_socket.is_some(), path, "tcpSocket", message);
        self.when(probe.grpc.is_some(), path, "grpc", message);
    }

    fn resources(&mut self, container: &Container, path: &Path) {
        let Some(resources) = &container.resources else {
            return;
        };
        let is_foreign = |name: &str| {
            let is_special = name.contains('/') || name.starts_with("hugepages-");
            is_special && !SUPPORTED_RESOURCES.contains(&name)
        };
        let is_limited = |name: &String| {
            resources
                .limits
                .as_ref()
                .is_some_and(|limits| limits.contains_key(name))
        };
        let limits = resources
            .limits
            .iter()
            .flatten()
            .map(|(name, _)| ("limits", name));
        let requests = resources
            .requests
            .iter()
            .flatten()
            .map(|(name, _)| ("requests", name));
        // A limit is its own request by default; one complaint is enough.
        let requests = requests.filter(|(_, name)| !is_limited(name));
        for (field, name) in limits.chain(requests).filter(|(_, name)| is_foreign(name)) {
            let message = "not supported: this node has no such device";
            self.0
                .push(Error::forbidden(&path.child(field).key(name), message));
        }
        let claims = resources
            .claims
            .as_ref()
            .is_some_and(|list| !list.is_empty());
        self.when(
            claims,
            path,
            "claims",
            "not supported: there are no devices to claim",
        );
    }

    fn security_context(&mut self, context: &SecurityContext, path: &Path) {
        let message = "not supported: every module stays in its sandbox";
        self.when(
            context.privileged == Some(true),
            path,
            "privileged",
            message,
        );
        let added = context
            .capabilities
            .as_ref()
            .and_then(|caps| caps.add.as_ref());
        let adds = added.is_some_and(|list| !list.is_empty());
        self.when(adds, path, "capabilities.add", message);
        let escalates = context.allow_privilege_escalation == Some(true);
        self.when(escalates, path, "allowPrivilegeEscalation", message);
        let proc_mount = context.proc_mount.as_deref().unwrap_or("Default");
        let no_proc = "not supported: a module has no /proc";
        self.when(proc_mount != "Default", path, "procMount", no_proc);
        let windows = context.windows_options.is_some();
        self.when(
            windows,
            path,
            "windowsOptions",
            "not supported: a module is not Windows",
        );
    }
}
