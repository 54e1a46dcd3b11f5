//! Rules that cover others, and those that do not.

use super::*;
use crate::attributes::Attributes;
use crate::identity::User;
use proptest::prelude::*;

/// `groups resources verbs [names]`, or `/urls verbs`, lists by commas, `-` for
/// the core group.
fn rule(text: &str) -> PolicyRule {
    let list = |text: &str| {
        text.split(',')
            .map(|part| part.trim_matches('-').to_owned())
            .collect::<Vec<_>>()
    };
    let mut rule = PolicyRule::default();
    match text.split(' ').collect::<Vec<_>>().as_slice() {
        [urls, verbs] => {
            rule.non_resource_urls = list(urls);
            rule.verbs = list(verbs);
        }
        [groups, resources, verbs, names @ ..] => {
            rule.api_groups = list(groups);
            rule.resources = list(resources);
            rule.verbs = list(verbs);
            rule.resource_names = names.iter().flat_map(|names| list(names)).collect();
        }
        _ => panic!("{text}"),
    }
    rule
}

fn missing(held: &[&str], wanted: &[&str]) -> Vec<String> {
    let rules = |texts: &[&str]| texts.iter().map(|text| rule(text)).collect::<Vec<_>>();
    let mut missing: Vec<_> = compact(covers(&rules(held), &rules(wanted)).unwrap())
        .iter()
        .map(ToString::to_string)
        .collect();
    missing.sort();
    missing
}

#[test]
fn what_is_covered() {
    for (held, wanted) in [
        (&["- pods get"][..], &["- pods get"][..]),
        (
            &["- pods get,list", "- jobs get,list"],
            &["- pods,jobs list,get"],
        ),
        (
            &["- pods get", "batch jobs get"],
            &["- pods get", "batch jobs get"],
        ),
        (
            &["* * *", "* *"],
            &["- pods,secrets get,* a", "/x,/y* get", "* * *"],
        ),
        (&["- */log get"], &["- pods/log get"]),
        (&["- pods get a,b"], &["- pods get b", "- pods get a"]),
        (&["- pods get"], &["- pods get a"]),
        (&["/healthz/* get"], &["/healthz/x,/healthz/* get"]),
        (&[], &[]),
    ] {
        assert_eq!(missing(held, wanted), [""; 0], "{held:?} {wanted:?}");
    }
}

#[test]
fn what_is_missing() {
    for (held, wanted, missed) in [
        (
            &[][..],
            "- pods get",
            &[r#"{APIGroups:[""], Resources:["pods"], Verbs:["get"]}"#][..],
        ),
        (
            &["- pods get"],
            "-,batch pods,jobs get,list",
            &[
                r#"{APIGroups:[""], Resources:["jobs"], Verbs:["get" "list"]}"#,
                r#"{APIGroups:[""], Resources:["pods"], Verbs:["list"]}"#,
                r#"{APIGroups:["batch"], Resources:["jobs"], Verbs:["get" "list"]}"#,
                r#"{APIGroups:["batch"], Resources:["pods"], Verbs:["get" "list"]}"#,
            ],
        ),
        (
            &["- pods get"],
            "- pods *",
            &[r#"{APIGroups:[""], Resources:["pods"], Verbs:["*"]}"#],
        ),
        (
            &["- pods get"],
            "- * get",
            &[r#"{APIGroups:[""], Resources:["*"], Verbs:["get"]}"#],
        ),
        (
            &["- pods get"],
            "- pods/log get",
            &[r#"{APIGroups:[""], Resources:["pods/log"], Verbs:["get"]}"#],
        ),
        (
            &["- pods get a"],
            "- pods get",
            &[r#"{APIGroups:[""], Resources:["pods"], Verbs:["get"]}"#],
        ),
        (
            &["- pods get a"],
            "- pods get a,b",
            &[r#"{APIGroups:[""], Resources:["pods"], ResourceNames:["b"], Verbs:["get"]}"#],
        ),
        (
            &["/healthz get"],
            "/healthz/*,/healthz get",
            &[r#"{NonResourceURLs:["/healthz/*"], Verbs:["get"]}"#],
        ),
        (
            &["* * *"],
            "* get",
            &[r#"{NonResourceURLs:["*"], Verbs:["get"]}"#],
        ),
        (
            &["* *"],
            "- pods get",
            &[r#"{APIGroups:[""], Resources:["pods"], Verbs:["get"]}"#],
        ),
    ] {
        assert_eq!(missing(held, &[wanted]), missed, "{held:?} {wanted}");
    }
}

#[test]
fn roles_that_nobody_can_count() {
    let many: Vec<_> = (0..20_000).map(|n| n.to_string()).collect();
    let huge = PolicyRule {
        api_groups: many.clone(),
        resources: many.clone(),
        verbs: many.clone(),
        resource_names: many,
        ..PolicyRule::default()
    };
    let huge = [huge];
    assert_eq!(covers::<PolicyRule>(&[], &huge), Err(TooMany));
    assert_eq!(covers(&[rule("* * *")], &huge), Ok(Vec::new()));
}

fn rules() -> impl Strategy<Value = Vec<PolicyRule>> {
    let some = |values: &'static [&'static str], from: usize| {
        let value = proptest::sample::select(values).prop_map(str::to_owned);
        proptest::collection::vec(value, from..3)
    };
    let resources = (
        some(&["", "batch", "*"], 1),
        some(&["pods", "pods/log", "*/log", "*", "jobs"], 1),
        some(&["get", "list", "*"], 1),
        some(&["a", "b"], 0),
    );
    let resources =
        resources.prop_map(
            |(api_groups, resources, verbs, resource_names)| PolicyRule {
                api_groups,
                resources,
                verbs,
                resource_names,
                ..PolicyRule::default()
            },
        );
    let urls = (
        some(&["/a", "/a/*", "/a/b", "*"], 1),
        some(&["get", "list", "*"], 1),
    );
    let urls = urls.prop_map(|(non_resource_urls, verbs)| PolicyRule {
        non_resource_urls,
        verbs,
        ..PolicyRule::default()
    });
    proptest::collection::vec(prop_oneof![resources, urls], 0..4)
}

proptest! {
    /// Who holds rules that cover others may do whatever those allow.
    #[test]
    fn covering_rules_allow_what_the_covered_allow(held in rules(), wanted in rules()) {
        prop_assume!(covers(&held, &wanted).unwrap().is_empty());
        let user = User::default();
        for verb in ["get", "list", "delete"] {
            for path in ["/a", "/a/", "/a/b", "/c"] {
                let request = Attributes::path(&user, verb, path);
                if wanted.iter().any(|rule| rule.allows(&request)) {
                    prop_assert!(held.iter().any(|rule| rule.allows(&request)));
                }
            }
            for (group, resource, subresource, name) in itertools(
                &["", "batch", "x"], &["pods", "jobs"], &["", "log", "x"], &["", "a", "b", "c"],
            ) {
                let request = Attributes::resource(&user, verb, group, resource)
                    .subresource(subresource)
                    .name(name);
                if wanted.iter().any(|rule| rule.allows(&request)) {
                    prop_assert!(held.iter().any(|rule| rule.allows(&request)), "{request:?}");
                }
            }
        }
    }
}

fn itertools<'a>(
    a: &'a [&'a str],
    b: &'a [&'a str],
    c: &'a [&'a str],
    d: &'a [&'a str],
) -> impl Iterator<Item = (&'a str, &'a str, &'a str, &'a str)> {
    a.iter().flat_map(move |a| {
        b.iter().flat_map(move |b| {
            c.iter()
                .flat_map(move |c| d.iter().map(move |d| (*a, *b, *c, *d)))
        })
    })
}
