//! Tokens that count, and all that must not.

use proptest::prelude::*;
use ring::hmac;

use super::*;
use crate::identity::User;

const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";
const NOW: &str = "2026-11-25T10:00:00Z";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn authority() -> TokenAuthority {
    let key = rcgen::KeyPair::generate().unwrap().serialize_der();
    TokenAuthority::new(ISSUER, &PrivatePkcs8KeyDer::from(key)).unwrap()
}

fn reference(name: &str) -> ObjectReference {
    ObjectReference {
        name: name.to_owned(),
        uid: format!("uid-of-{name}"),
    }
}

fn mint(authority: &TokenAuthority, audiences: &[String]) -> Token {
    let request = TokenRequest {
        namespace: "team",
        service_account: &reference("deployer"),
        pod: Some(&reference("pod-1")),
        node: Some(&reference("node-1")),
        secret: None,
        audiences,
        expiration: Expiration::of_request(None, i64::MAX).unwrap(),
        id: "7b1f",
    };
    authority.mint(&request, at(NOW)).unwrap()
}

fn verify(authority: &TokenAuthority, token: &str) -> Result<Claims, TokenError> {
    authority.verify(token, &[ISSUER], at(NOW))
}

/// A token with these parts, signed by the authority.
fn sign(authority: &TokenAuthority, header: &str, payload: &str) -> String {
    let encode = |part: &str| Base64UrlUnpadded::encode_string(part.as_bytes());
    let signed = format!("{}.{}", encode(header), encode(payload));
    let signature = authority
        .key
        .sign(&authority.random, signed.as_bytes())
        .unwrap();
    format!(
        "{signed}.{}",
        Base64UrlUnpadded::encode_string(signature.as_ref())
    )
}

fn payload(token: &Token) -> Value {
    let part = token.expose().split('.').nth(1).unwrap();
    serde_json::from_slice(&Base64UrlUnpadded::decode_vec(part).unwrap()).unwrap()
}

#[test]
fn a_token_says_what_kubernetes_says() {
    let authority = authority();
    let token = mint(&authority, &[]);
    assert_eq!(
        payload(&token),
        json!({
            "aud": [ISSUER],
            "exp": 1_795_600_800 + 3600,
            "iat": 1_795_600_800,
            "iss": ISSUER,
            "jti": "7b1f",
            "kubernetes.io": {
                "namespace": "team",
                "node": {"name": "node-1", "uid": "uid-of-node-1"},
                "pod": {"name": "pod-1", "uid": "uid-of-pod-1"},
                "serviceaccount": {"name": "deployer", "uid": "uid-of-deployer"},
            },
            "nbf": 1_795_600_800,
            "sub": "system:serviceaccount:team:deployer",
        })
    );
    let claims = verify(&authority, token.expose()).unwrap();
    assert_eq!(&claims, token.claims());
    assert_eq!(
        (claims.namespace(), claims.service_account()),
        ("team", &reference("deployer"))
    );
    assert_eq!(
        (claims.pod(), claims.node()),
        (Some(&reference("pod-1")), Some(&reference("node-1")))
    );
    let extra = |key: &str, value: &str| {
        (
            format!("authentication.kubernetes.io/{key}"),
            vec![value.to_owned()],
        )
    };
    assert_eq!(
        claims.user(),
        User {
            name: "system:serviceaccount:team:deployer".to_owned(),
            uid: "uid-of-deployer".to_owned(),
            groups: [
                "system:serviceaccounts",
                "system:serviceaccounts:team",
                "system:authenticated"
            ]
            .map(str::to_owned)
            .into(),
            extra: [
                extra("credential-id", "JTI=7b1f"),
                extra("node-name", "node-1"),
                extra("node-uid", "uid-of-node-1"),
                extra("pod-name", "pod-1"),
                extra("pod-uid", "uid-of-pod-1"),
            ]
            .into(),
        }
    );
}

#[test]
fn a_token_counts_for_its_time_and_audience() {
    let authority = authority();
    let token = mint(&authority, &["vault".to_owned(), "db".to_owned()]);
    let token = token.expose();
    for (audiences, now, wanted) in [
        (&["vault"][..], NOW, None),
        (&["x", "db"], "2026-11-25T10:59:59Z", None),
        (&["db"], "2026-11-25T11:00:00Z", Some(TokenError::Expired)),
        (&["db"], "9999-12-30T22:00:00Z", Some(TokenError::Expired)),
        (&["db"], "2026-11-25T09:59:00Z", None),
        (
            &["db"],
            "2026-11-25T09:58:59Z",
            Some(TokenError::NotYetValid),
        ),
        (
            &["db"],
            "-009999-01-02T01:59:59Z",
            Some(TokenError::NotYetValid),
        ),
        (&[ISSUER], NOW, Some(TokenError::Audience)),
        (&["DB", ""], NOW, Some(TokenError::Audience)),
        (&[], NOW, Some(TokenError::Audience)),
    ] {
        let error = authority.verify(token, audiences, at(now)).err();
        assert_eq!(error, wanted, "{audiences:?} at {now}");
    }
}

#[test]
fn other_keys_and_algorithms_are_refused() {
    let authority = authority();
    let token = mint(&authority, &[]);
    let (signed, signature) = token.expose().rsplit_once('.').unwrap();
    let payload = signed.split_once('.').unwrap().1;
    let header = |json: &str| Base64UrlUnpadded::encode_string(json.as_bytes());
    for alg in [
        "none", "None", "", "HS256", "RS256", "ES384", "es256", "EdDSA",
    ] {
        let header = header(&format!(r#"{{"alg":"{alg}","typ":"JWT"}}"#));
        for signature in ["", signature] {
            let error = verify(&authority, &format!("{header}.{payload}.{signature}")).err();
            assert_eq!(error, Some(TokenError::OtherKey), "{alg}");
        }
    }
    // The public key taken for the secret of a keyed hash.
    let forged = format!("{}.{payload}", header(r#"{"alg":"HS256"}"#));
    let public = hmac::Key::new(hmac::HMAC_SHA256, authority.key.public_key().as_ref());
    let tag = Base64UrlUnpadded::encode_string(hmac::sign(&public, forged.as_bytes()).as_ref());
    assert_eq!(
        verify(&authority, &format!("{forged}.{tag}")),
        Err(TokenError::OtherKey)
    );

    let other = self::authority();
    assert_eq!(
        verify(&other, token.expose()),
        Err(TokenError::OtherKey),
        "its key id says so"
    );
    let claims = serde_json::to_string(token.claims()).unwrap();
    let without_id = sign(&other, r#"{"alg":"ES256"}"#, &claims);
    assert_eq!(verify(&authority, &without_id), Err(TokenError::Signature));
    assert!(verify(&other, &without_id).is_ok());
    let critical = sign(&other, r#"{"alg":"ES256","crit":["b64"]}"#, &claims);
    assert_eq!(verify(&other, &critical), Err(TokenError::OtherKey));
    assert_eq!(
        verify(&authority, &format!("{signed}.")),
        Err(TokenError::Signature)
    );
}

#[test]
fn claims_that_do_not_fit_are_refused_although_they_are_signed() {
    let authority = authority();
    let good = payload(&mint(&authority, &[]));
    type Change = fn(&mut Value);
    let cases: [(&str, Change, TokenError); 13] = [
        (
            "issuer",
            |c| c["iss"] = json!("https://else"),
            TokenError::Issuer,
        ),
        (
            "no issuer",
            |c| drop(c.as_object_mut().unwrap().remove("iss")),
            TokenError::Malformed,
        ),
        (
            "no end",
            |c| drop(c.as_object_mut().unwrap().remove("exp")),
            TokenError::Malformed,
        ),
        (
            "end as text",
            |c| c["exp"] = json!("1795608000"),
            TokenError::Malformed,
        ),
        (
            "end beyond numbers",
            |c| c["exp"] = json!(1e300),
            TokenError::Malformed,
        ),
        (
            "end before all time",
            |c| c["exp"] = json!(i64::MIN),
            TokenError::Expired,
        ),
        (
            "begin after all time",
            |c| c["nbf"] = json!(i64::MAX),
            TokenError::NotYetValid,
        ),
        (
            "made in the future",
            |c| c["iat"] = json!(1_795_600_861),
            TokenError::NotYetValid,
        ),
        (
            "subject",
            |c| c["sub"] = json!("system:admin"),
            TokenError::Subject,
        ),
        (
            "another namespace",
            |c| c["kubernetes.io"]["namespace"] = json!("kube-system"),
            TokenError::Subject,
        ),
        (
            "no uid",
            |c| c["kubernetes.io"]["serviceaccount"]["uid"] = json!(""),
            TokenError::Subject,
        ),
        (
            "nothing of ours",
            |c| drop(c.as_object_mut().unwrap().remove("kubernetes.io")),
            TokenError::Malformed,
        ),
        (
            "no audience",
            |c| c["aud"] = json!([]),
            TokenError::Audience,
        ),
    ];
    let header = r#"{"alg":"ES256"}"#;
    for (case, change, wanted) in cases {
        let mut claims = good.clone();
        change(&mut claims);
        let token = sign(&authority, header, &claims.to_string());
        assert_eq!(verify(&authority, &token).err(), Some(wanted), "{case}");
    }
    let mut one_audience = good.clone();
    one_audience["aud"] = json!(ISSUER);
    assert!(
        verify(
            &authority,
            &sign(&authority, header, &one_audience.to_string())
        )
        .is_ok()
    );
    let twice = good
        .to_string()
        .replacen('{', r#"{"sub":"system:admin","#, 1);
    let token = sign(&authority, header, &twice);
    assert_eq!(
        verify(&authority, &token),
        Err(TokenError::Malformed),
        "one claim twice"
    );
    let deep = format!("{}{}", "[".repeat(9_000), "]".repeat(9_000));
    let token = sign(&authority, header, &deep);
    assert_eq!(verify(&authority, &token), Err(TokenError::Malformed));
}

#[test]
fn keys_of_other_kinds_are_refused() {
    for key in [&rcgen::PKCS_ED25519, &rcgen::PKCS_ECDSA_P384_SHA384] {
        let key = rcgen::KeyPair::generate_for(key).unwrap().serialize_der();
        assert!(TokenAuthority::new("x", &PrivatePkcs8KeyDer::from(key)).is_err());
    }
    assert!(TokenAuthority::new("x", &PrivatePkcs8KeyDer::from(Vec::new())).is_err());
}

#[test]
fn others_can_check_with_the_published_key() {
    let authority = authority();
    let token = mint(&authority, &[]);
    let key = &authority.key_set()["keys"][0];
    let part = |name: &str| Base64UrlUnpadded::decode_vec(key[name].as_str().unwrap()).unwrap();
    let point = [vec![4], part("x"), part("y")].concat();
    let (signed, signature) = token.expose().rsplit_once('.').unwrap();
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
        .verify(
            signed.as_bytes(),
            &Base64UrlUnpadded::decode_vec(signature).unwrap(),
        )
        .unwrap();
    assert_eq!(
        authority.discovery("https://h/openid/v1/jwks")["issuer"],
        ISSUER
    );
    // The key id is the hash of what OpenSSL calls the public key.
    let key = rcgen::KeyPair::generate().unwrap();
    let der = PrivatePkcs8KeyDer::from(key.serialize_der());
    let public_key = rcgen::PublicKeyData::subject_public_key_info(&key);
    let hash = ring::digest::digest(&ring::digest::SHA256, &public_key);
    let authority = TokenAuthority::new(ISSUER, &der).unwrap();
    assert_eq!(
        authority.key_id,
        Base64UrlUnpadded::encode_string(hash.as_ref())
    );
}

proptest! {
    #[test]
    fn any_text_is_refused(token in ".*") {
        let authority = authority();
        prop_assert!(verify(&authority, &token).is_err());
    }

    #[test]
    fn any_parts_are_refused(header: Vec<u8>, payload: Vec<u8>, signature: [u8; 32]) {
        let authority = authority();
        let encode = |part: &[u8]| Base64UrlUnpadded::encode_string(part);
        let token =
            format!("{}.{}.{}", encode(&header), encode(&payload), encode(&signature));
        prop_assert!(verify(&authority, &token).is_err());
    }

    #[test]
    fn a_token_with_one_character_changed_is_refused(
        at in any::<prop::sample::Index>(), to in "[A-Za-z0-9_.=+/-]",
    ) {
        let authority = authority();
        let token = mint(&authority, &[]);
        let at = at.index(token.expose().len());
        let mut changed = token.expose().to_owned();
        changed.replace_range(at..=at, &to);
        let accepted = verify(&authority, &changed).is_ok();
        prop_assert_eq!(accepted, changed == token.expose());
    }
}
