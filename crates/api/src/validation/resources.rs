//! What containers request and what limits them.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;

use super::Errors;
use crate::field::{Error, Path};
use crate::{Quantity, QuantityError};

type Amounts = BTreeMap<String, Text>;

pub(super) fn requirements(errors: &mut Errors, resources: &ResourceRequirements, path: &Path) {
    let empty = Amounts::new();
    let limits = resources.limits.as_ref().unwrap_or(&empty);
    let requests = resources.requests.as_ref().unwrap_or(&empty);
    let (limits_path, requests_path) = (path.child("limits"), path.child("requests"));
    for (name, amount) in limits {
        resource(errors, name, amount, &limits_path);
    }
    for (name, amount) in requests {
        resource(errors, name, amount, &requests_path);
        request_and_limit(
            errors,
            name,
            amount,
            limits.get(name),
            [&requests_path, &limits_path],
        );
    }
}

/// The name of something that a container may ask for.
pub(super) fn container_resource_name(errors: &mut Errors, name: &str, path: &Path) {
    const STANDARD: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];
    errors.qualified_name(name, path);
    let is_standard = STANDARD.contains(&name) || name.starts_with("hugepages-");
    if !name.contains('/') && !is_standard {
        let message = "must be a standard resource for containers";
        errors.push(Error::invalid(path, name, message));
    }
}

/// An amount that reads as a quantity.
pub(super) fn quantity(errors: &mut Errors, amount: &Text, path: &Path) -> Option<Quantity> {
    match amount.0.parse::<Quantity>() {
        Ok(quantity) => Some(quantity),
        Err(error) => {
            errors.push(Error::invalid(path, amount, error.to_string()));
            None
        }
    }
}

fn resource(errors: &mut Errors, name: &str, amount: &Text, path: &Path) {
    container_resource_name(errors, name, path);
    let path = path.key(name);
    match amount.0.parse::<Quantity>() {
        Ok(quantity) if quantity.is_negative() => {
            let message = "must be greater than or equal to 0";
            errors.push(Error::invalid(&path, &amount.0, message));
        }
        Ok(quantity) if name.contains('/') && !quantity.is_whole() => {
            errors.push(Error::invalid(&path, amount, "must be an integer"));
        }
        Ok(_) => {}
        Err(error @ (QuantityError::Form | QuantityError::Suffix | QuantityError::TooLarge)) => {
            errors.push(Error::invalid(&path, amount, error.to_string()));
        }
    }
}

fn request_and_limit(
    errors: &mut Errors,
    name: &str,
    amount: &Text,
    limit: Option<&Text>,
    [requests, limits]: [&Path; 2],
) {
    // CPU and memory may be promised more often than they exist; a device may not.
    let may_overcommit = !name.contains('/') && !name.starts_with("hugepages-");
    let Some(limit) = limit else {
        if !may_overcommit {
            let message = "Limit must be set for non overcommitable resources";
            errors.push(Error::required(limits, message));
        }
        return;
    };
    let (Ok(request), Ok(most)) = (amount.0.parse::<Quantity>(), limit.0.parse::<Quantity>())
    else {
        return;
    };
    if !may_overcommit && request != most {
        let message = format!("must be equal to {name} limit of {}", limit.0);
        errors.push(Error::invalid(requests, &amount.0, message));
    } else if request > most {
        let message = format!("must be less than or equal to {name} limit of {}", limit.0);
        errors.push(Error::invalid(requests, &amount.0, message));
    }
}
