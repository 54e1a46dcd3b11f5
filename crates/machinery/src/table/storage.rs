//! Volumes, the claims on them and their classes.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::value::{NONE, UNSET, age, deleting, list, name, or, text};
use super::{Cells, Column, Printer};

const MODES: &str = "How the volume may be mounted.";
const CLASS_ATTRIBUTES: Column =
    Column::new("VolumeAttributesClass", "The class of its attributes.");
const VOLUME_MODE: Column = Column::new(
    "VolumeMode",
    "Whether it is a file system or a block device.",
)
.wide();

pub(super) const CLAIM: Printer = Printer {
    columns: &[
        Column::NAME,
        Column::new("Status", "The phase of the claim."),
        Column::new("Volume", "The volume that it has."),
        Column::new("Capacity", "How much the volume holds."),
        Column::new("Access Modes", MODES),
        Column::new("StorageClass", "StorageClass of the pvc"),
        CLASS_ATTRIBUTES,
        Column::AGE,
        VOLUME_MODE,
    ],
    row: claim,
};

pub(super) const VOLUME: Printer = Printer {
    columns: &[
        Column::NAME,
        Column::new("Capacity", "How much it holds."),
        Column::new("Access Modes", MODES),
        Column::new("Reclaim Policy", "What becomes of it when it is released."),
        Column::new("Status", "The phase of the volume."),
        Column::new("Claim", "The claim that has it."),
        Column::new("StorageClass", "StorageClass of the pv"),
        CLASS_ATTRIBUTES,
        Column::new("Reason", "Why it is as it is."),
        Column::AGE,
        VOLUME_MODE,
    ],
    row: volume,
};

pub(super) const CLASS: Printer = Printer {
    columns: &[
        Column::NAME,
        Column::new("Provisioner", "Who makes the volumes."),
        Column::new(
            "ReclaimPolicy",
            "What becomes of them when they are released.",
        ),
        Column::new("VolumeBindingMode", "When they are bound."),
        Column::new("AllowVolumeExpansion", "Whether they can grow."),
        Column::AGE,
    ],
    row: class,
};

/// `ReadWriteOnce,ReadOnlyMany` as `RWO,ROX`, in the order of upstream, each once.
fn access_modes(modes: &Value) -> String {
    let has = |mode: &str| list(modes).iter().any(|one| one == mode);
    let known = [
        ("ReadWriteOnce", "RWO"),
        ("ReadOnlyMany", "ROX"),
        ("ReadWriteMany", "RWX"),
        ("ReadWriteOncePod", "RWOP"),
    ];
    let shown = known.iter().filter(|(mode, _)| has(mode));
    shown.map(|(_, short)| *short).collect::<Vec<_>>().join(",")
}

fn phase(object: &Value) -> &str {
    match deleting(object) {
        true => "Terminating",
        false => text(&object["status"]["phase"]),
    }
}

fn class_of(object: &Value) -> &str {
    let annotation = "volume.beta.kubernetes.io/storage-class";
    let annotation = text(&object["metadata"]["annotations"][annotation]);
    or(annotation, text(&object["spec"]["storageClassName"]))
}

fn claim(claim: &Value, now: Timestamp) -> Cells {
    let (spec, status) = (&claim["spec"], &claim["status"]);
    let volume = text(&spec["volumeName"]);
    let (capacity, modes) = match volume {
        "" => ("", String::new()),
        _ => (
            or(text(&status["capacity"]["storage"]), "0"),
            access_modes(&status["accessModes"]),
        ),
    };
    vec![
        name(claim),
        json!(phase(claim)),
        json!(volume),
        json!(capacity),
        json!(modes),
        json!(class_of(claim)),
        json!(or(text(&spec["volumeAttributesClassName"]), UNSET)),
        age(claim, now),
        json!(or(text(&spec["volumeMode"]), UNSET)),
    ]
    .into()
}

fn volume(volume: &Value, now: Timestamp) -> Cells {
    let spec = &volume["spec"];
    let claim = &spec["claimRef"];
    let claim = match claim.is_object() {
        true => format!("{}/{}", text(&claim["namespace"]), text(&claim["name"])),
        false => String::new(),
    };
    vec![
        name(volume),
        json!(or(text(&spec["capacity"]["storage"]), "0")),
        json!(access_modes(&spec["accessModes"])),
        json!(text(&spec["persistentVolumeReclaimPolicy"])),
        json!(phase(volume)),
        json!(claim),
        json!(class_of(volume)),
        json!(or(text(&spec["volumeAttributesClassName"]), UNSET)),
        json!(text(&volume["status"]["reason"])),
        age(volume, now),
        json!(or(text(&spec["volumeMode"]), UNSET)),
    ]
    .into()
}

fn class(class: &Value, now: Timestamp) -> Cells {
    let annotation = "storageclass.kubernetes.io/is-default-class";
    let default = class["metadata"]["annotations"][annotation] == "true";
    let mut shown = text(&class["metadata"]["name"]).to_owned();
    if default {
        shown.push_str(" (default)");
    }
    let expansion = class["allowVolumeExpansion"].as_bool().unwrap_or(false);
    vec![
        json!(shown),
        json!(or(text(&class["provisioner"]), NONE)),
        json!(or(text(&class["reclaimPolicy"]), "Delete")),
        json!(or(text(&class["volumeBindingMode"]), "Immediate")),
        json!(expansion.to_string()),
        age(class, now),
    ]
    .into()
}

#[cfg(test)]
mod tests {
    use super::{claim, volume};
    use serde_json::json;

    #[test]
    fn claims_and_volumes_name_each_other() {
        let now = "2026-01-01T01:00:00Z".parse().unwrap();
        let object = json!({
            "metadata": {"name": "c"},
            "spec": {"volumeName": "v", "storageClassName": "s", "volumeMode": "Filesystem"},
            "status": {"phase": "Bound", "capacity": {"storage": "1Gi"},
                "accessModes": ["ReadOnlyMany", "ReadWriteOnce"]},
        });
        assert_eq!(
            claim(&object, now).cells,
            [
                "c",
                "Bound",
                "v",
                "1Gi",
                "RWO,ROX",
                "s",
                "<unset>",
                "<unknown>",
                "Filesystem"
            ]
        );
        let object = json!({
            "metadata": {"name": "v"},
            "spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOncePod"],
                "persistentVolumeReclaimPolicy": "Retain",
                "claimRef": {"namespace": "n", "name": "c"}},
            "status": {"phase": "Bound"},
        });
        assert_eq!(
            volume(&object, now).cells,
            [
                "v",
                "1Gi",
                "RWOP",
                "Retain",
                "Bound",
                "n/c",
                "",
                "<unset>",
                "",
                "<unknown>",
                "<unset>"
            ]
        );
    }
}
