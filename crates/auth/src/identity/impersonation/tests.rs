//! Headers of impersonation, sensible and not.

use super::*;
use proptest::prelude::*;

fn read(headers: &[(&str, &str)]) -> Result<Option<Impersonation>, ImpersonationError> {
    Impersonation::read(
        headers
            .iter()
            .map(|(name, value)| (*name, value.as_bytes())),
    )
}

/// Each question as `group/resource/subresource namespace/name`.
fn questions(impersonation: &Impersonation) -> Vec<String> {
    let requestor = User::anonymous();
    impersonation
        .questions(&requestor)
        .map(|q| {
            assert_eq!((q.user, q.verb, q.path), (&requestor, "impersonate", None));
            let Attributes {
                api_group,
                resource,
                subresource,
                namespace,
                name,
                ..
            } = q;
            format!("{api_group}/{resource}/{subresource} {namespace}/{name}")
        })
        .collect()
}

#[test]
fn a_request_without_headers_stays_who_it_is() {
    assert_eq!(read(&[]), Ok(None));
    let others = [
        ("X-Remote-User", "admin"),
        ("Impersonate", "a"),
        ("Impersonate-User", ""),
    ];
    assert_eq!(read(&others), Ok(None));
}

#[test]
fn a_user_with_everything() {
    let wanted = read(&[
        ("impersonate-USER", "alice"),
        ("Impersonate-Group", "team a"),
        ("Impersonate-Group", "team b"),
        ("Impersonate-Uid", "u-1"),
        ("Impersonate-Extra-Acme.com%2fProject", "p1"),
        ("Impersonate-Extra-Acme.com%2fProject", "p2"),
        ("Impersonate-Extra-Odd%zz", "x"),
    ]);
    let wanted = wanted.unwrap().unwrap();
    assert_eq!(
        questions(&wanted),
        [
            "/users/ /alice",
            "/groups/ /team a",
            "/groups/ /team b",
            "authentication.k8s.io/userextras/acme.com/project /p1",
            "authentication.k8s.io/userextras/acme.com/project /p2",
            "authentication.k8s.io/userextras/odd%zz /x",
            "authentication.k8s.io/uids/ /u-1",
        ]
    );
    let user = wanted.user();
    assert_eq!((user.name.as_str(), user.uid.as_str()), ("alice", "u-1"));
    assert_eq!(user.groups, ["team a", "team b", "system:authenticated"]);
    assert_eq!(user.extra["acme.com/project"], ["p1", "p2"]);
    assert_eq!(user.extra["odd%zz"], ["x"]);
}

#[test]
fn service_accounts_are_asked_for_as_such() {
    let name = ("Impersonate-User", "system:serviceaccount:team:deployer");
    let wanted = read(&[name]).unwrap().unwrap();
    assert_eq!(questions(&wanted), ["/serviceaccounts/ team/deployer"]);
    let groups = ["system:serviceaccounts", "system:serviceaccounts:team"];
    assert_eq!(wanted.user().groups[..2], groups);
    let wanted = read(&[name, ("Impersonate-Group", "g")]).unwrap().unwrap();
    assert_eq!(wanted.user().groups, ["g", "system:authenticated"]);
}

#[test]
fn who_counts_as_authenticated() {
    for (user, groups, wanted) in [
        ("a", &[][..], &["system:authenticated"][..]),
        ("a", &["system:authenticated"], &["system:authenticated"]),
        (
            "a",
            &["system:unauthenticated"],
            &["system:unauthenticated"],
        ),
        ("system:anonymous", &[], &["system:unauthenticated"]),
        ("system:anonymous", &["g"], &["g", "system:unauthenticated"]),
        (
            "system:anonymous",
            &["system:unauthenticated"],
            &["system:unauthenticated"],
        ),
    ] {
        let mut headers = vec![("Impersonate-User", user)];
        headers.extend(groups.iter().map(|group| ("Impersonate-Group", *group)));
        assert_eq!(
            read(&headers).unwrap().unwrap().user().groups,
            wanted,
            "{headers:?}"
        );
    }
}

#[test]
fn headers_that_make_no_sense() {
    let error = |headers: &[(&str, &str)]| read(headers).unwrap_err().to_string();
    assert_eq!(
        error(&[("Impersonate-Group", "g"), ("Impersonate-User", "")]),
        "requested [{Group  g    }] without impersonating a user"
    );
    assert_eq!(
        error(&[("Impersonate-Extra-k", "v"), ("Impersonate-Uid", "u")]),
        "requested [{UserExtra  v  authentication.k8s.io/v1  k} \
         {UID  u  authentication.k8s.io/v1  }] without impersonating a user"
    );
    let twice = [("Impersonate-User", "a"), ("impersonate-user", "b")];
    assert_eq!(error(&twice), "more than one Impersonate-User header");
    let latin = [("Impersonate-User", &b"j\xfcrgen"[..])];
    assert_eq!(Impersonation::read(latin), Err(ImpersonationError::NotText));
}

proptest! {
    #[test]
    fn any_headers_are_read_or_refused(
        headers in proptest::collection::vec(
            ("(?i)impersonate-(user|group|uid|extra-[a-z%0-9]{0,6})", any::<Vec<u8>>()), 0..6,
        ),
    ) {
        let headers = headers.iter().map(|(name, value)| (name.as_str(), value.as_slice()));
        if let Ok(Some(wanted)) = Impersonation::read(headers) {
            prop_assert!(!questions(&wanted).is_empty());
            prop_assert!(!wanted.user().groups.is_empty());
        }
    }
}
