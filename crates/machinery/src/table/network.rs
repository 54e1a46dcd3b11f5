//! What may be spoken to.

use serde_json::json;

use super::batch::selector;
use super::value::{age, name};
use super::{Column, Printer};

pub(super) const POLICY: Printer = Printer {
    columns: &[
        Column::NAME,
        Column::new("Pod-Selector", "The pods that it is about."),
        Column::AGE,
    ],
    row: |object, now| {
        let pods = selector(&object["spec"]["podSelector"]);
        vec![name(object), json!(pods), age(object, now)].into()
    },
};
