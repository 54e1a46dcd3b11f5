//! What a client wants to get and what it sends: `Accept` and `Content-Type`.
//!
//! An `Accept` header lists media types; the first of the highest quality that can be
//! given wins. A parameter `as` asks for another view of the same objects, which the
//! server renders (`Table`) or cuts (`PartialObjectMetadata`). Parameters that are not
//! known say nothing.

use crate::openapi;
use crate::status::Status;

/// The media types of answers and bodies that are objects.
pub const OBJECT_TYPES: &[&str] = &[
    Encoding::Json.media_type(),
    Encoding::Yaml.media_type(),
    Encoding::Protobuf.media_type(),
];

/// Types in a header that are looked at; clients send four.
const TYPES_MAX: usize = 64;

/// How objects are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Encoding {
    /// `application/json`.
    Json,
    /// `application/yaml`.
    Yaml,
    /// `application/vnd.kubernetes.protobuf`.
    Protobuf,
}

impl Encoding {
    /// The media type.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Yaml => "application/yaml",
            Self::Protobuf => crate::proto::MEDIA_TYPE,
        }
    }
}

/// What of the objects is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum View {
    /// The objects.
    Full,
    /// A `meta.k8s.io` Table, as `kubectl get` prints it.
    Table,
    /// `meta.k8s.io` PartialObjectMetadata of one object.
    Metadata,
    /// `meta.k8s.io` PartialObjectMetadataList of a list.
    MetadataList,
}

/// What is answered with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Answer {
    /// How it is written.
    pub encoding: Encoding,
    /// What of the objects is shown.
    pub view: View,
    /// The version of `meta.k8s.io` that a view other than the objects has: `v1` or
    /// `v1beta1`.
    pub meta_version: &'static str,
}

/// Which form of discovery is answered with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Discovery {
    /// `APIGroupDiscoveryList` of `apidiscovery.k8s.io/v2`: everything at once.
    V2,
    /// The same of `apidiscovery.k8s.io/v2beta1`.
    V2Beta1,
    /// `APIVersions` and `APIGroupList`.
    Legacy,
}

impl Discovery {
    /// The `Content-Type` of the answer, which names the form.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::V2 => "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
            Self::V2Beta1 => {
                "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList"
            }
            Self::Legacy => "application/json",
        }
    }
}

/// What to answer with where objects are asked for. Without a header it is JSON.
/// `protobuf` tells whether the objects have that form; views never have it.
///
/// # Errors
///
/// [`Status::not_acceptable`] if nothing of it can be given.
pub fn objects(accept: Option<&str>, protobuf: bool) -> Result<Answer, Status> {
    first(accept, |wanted| {
        let encoding = match wanted.media_type {
            "*/*" | "application/*" | "application/json" => Encoding::Json,
            "application/yaml" => Encoding::Yaml,
            crate::proto::MEDIA_TYPE if protobuf => Encoding::Protobuf,
            _ => return None,
        };
        let view = match wanted.parameter("as") {
            None | Some("") => View::Full,
            Some(_) if encoding == Encoding::Protobuf => return None,
            Some("Table") => View::Table,
            Some("PartialObjectMetadata") => View::Metadata,
            Some("PartialObjectMetadataList") => View::MetadataList,
            Some(_) => return None,
        };
        let meta_version = match (view, wanted.parameter("v")) {
            (View::Full, _) | (_, Some("v1")) => "v1",
            (_, Some("v1beta1")) => "v1beta1",
            _ => return None,
        };
        if view != View::Full && wanted.parameter("g") != Some("meta.k8s.io") {
            return None;
        }
        Some(Answer {
            encoding,
            view,
            meta_version,
        })
    })
    .ok_or_else(|| Status::not_acceptable(OBJECT_TYPES))
}

/// What to answer with at `/api` and `/apis`.
///
/// # Errors
///
/// [`Status::not_acceptable`] if nothing of it can be given.
pub fn discovery(accept: Option<&str>) -> Result<Discovery, Status> {
    first(accept, |wanted| {
        if !wanted.is_json() {
            return None;
        }
        match (
            wanted.parameter("as"),
            wanted.parameter("g"),
            wanted.parameter("v"),
        ) {
            (None, _, _) => Some(Discovery::Legacy),
            (Some("APIGroupDiscoveryList"), Some("apidiscovery.k8s.io"), Some(version)) => {
                match version {
                    "v2" => Some(Discovery::V2),
                    "v2beta1" => Some(Discovery::V2Beta1),
                    _ => None,
                }
            }
            _ => None,
        }
    })
    .ok_or_else(|| Status::not_acceptable(&["application/json"]))
}

/// Makes sure that JSON is welcome, where there is nothing else.
///
/// # Errors
///
/// [`Status::not_acceptable`] if it is not.
pub fn json(accept: Option<&str>) -> Result<(), Status> {
    first(accept, |wanted| wanted.is_json().then_some(()))
        .ok_or_else(|| Status::not_acceptable(&["application/json"]))
}

/// Whether version 2 of OpenAPI is wanted in protobuf ([`openapi::V2_PROTOBUF`]) rather
/// than in JSON.
///
/// # Errors
///
/// [`Status::not_acceptable`] if it is wanted in neither.
pub fn openapi_v2_protobuf(accept: Option<&str>) -> Result<bool, Status> {
    /// The same type under a name that is no valid one.
    const OLD: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
    first(accept, |wanted| match wanted.media_type {
        openapi::V2_PROTOBUF | OLD => Some(true),
        _ => wanted.is_json().then_some(false),
    })
    .ok_or_else(|| Status::not_acceptable(&["application/json", openapi::V2_PROTOBUF]))
}

/// How the body of a request is written; JSON if nothing says so.
///
/// # Errors
///
/// [`Status::unsupported_media_type`] if it is of no type that is read.
pub fn body(content_type: Option<&str>) -> Result<Encoding, Status> {
    let media_type = content_type.unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim();
    match media_type.to_ascii_lowercase().as_str() {
        "" | "application/json" => Ok(Encoding::Json),
        "application/yaml" => Ok(Encoding::Yaml),
        crate::proto::MEDIA_TYPE => Ok(Encoding::Protobuf),
        _ => Err(Status::unsupported_media_type(OBJECT_TYPES)),
    }
}

/// One type of an `Accept` header.
struct Wanted<'a> {
    media_type: &'a str,
    parameters: &'a str,
}

impl<'a> Wanted<'a> {
    fn parameter(&self, name: &str) -> Option<&'a str> {
        self.parameters.split(';').find_map(|parameter| {
            let (key, value) = parameter.split_once('=')?;
            let is_it = key.trim().eq_ignore_ascii_case(name);
            is_it.then(|| value.trim().trim_matches('"'))
        })
    }

    fn is_json(&self) -> bool {
        matches!(
            self.media_type,
            "*/*" | "application/*" | "application/json"
        )
    }

    /// From 0 to 1000; 0 means: anything but this.
    fn quality(&self) -> u16 {
        let Some(quality) = self.parameter("q").and_then(|q| q.parse::<f32>().ok()) else {
            return 1000;
        };
        // A cast from a float saturates, and takes NaN for zero.
        (quality.clamp(0.0, 1.0) * 1000.0) as u16
    }
}

/// What `choose` makes of the first type that it takes, the best quality first.
fn first<T>(accept: Option<&str>, choose: impl Fn(&Wanted<'_>) -> Option<T>) -> Option<T> {
    let header = accept.filter(|header| !header.trim().is_empty());
    let mut wanted: Vec<Wanted<'_>> = header
        .unwrap_or("*/*")
        .split(',')
        .take(TYPES_MAX)
        .map(|part| {
            let (media_type, parameters) = part.split_once(';').unwrap_or((part, ""));
            Wanted {
                media_type: media_type.trim(),
                parameters,
            }
        })
        .filter(|wanted| wanted.quality() > 0)
        .collect();
    wanted.sort_by_key(|wanted| std::cmp::Reverse(wanted.quality()));
    wanted.iter().find_map(choose)
}

#[cfg(test)]
mod tests {
    use super::{
        Answer, Discovery, Encoding, View, body, discovery, json, objects, openapi_v2_protobuf,
    };

    fn answer(accept: &str) -> (Encoding, View, &'static str) {
        let Answer {
            encoding,
            view,
            meta_version,
        } = objects(Some(accept), true).unwrap();
        (encoding, view, meta_version)
    }

    #[test]
    fn what_clients_send_is_understood() {
        let json = (Encoding::Json, View::Full, "v1");
        assert_eq!(answer("application/json, */*"), json);
        assert_eq!(answer("*/*"), json);
        assert_eq!(answer(""), json);
        assert_eq!(objects(None, false).unwrap().encoding, Encoding::Json);
        let go = "application/vnd.kubernetes.protobuf,application/json";
        assert_eq!(answer(go).0, Encoding::Protobuf);
        assert_eq!(objects(Some(go), false).unwrap().encoding, Encoding::Json);
        assert_eq!(answer("application/yaml").0, Encoding::Yaml);
        assert_eq!(
            answer(
                "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json"
            ),
            (Encoding::Json, View::Table, "v1")
        );
        assert_eq!(
            answer("application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json"),
            (Encoding::Json, View::Table, "v1beta1")
        );
        assert_eq!(
            answer(
                "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"
            ),
            (Encoding::Json, View::MetadataList, "v1")
        );
        assert_eq!(
            answer("application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1").1,
            View::Metadata
        );
    }

    #[test]
    fn the_best_quality_wins_then_the_first() {
        assert_eq!(
            answer("application/yaml;q=0.5, application/json;q=0.9").0,
            Encoding::Json
        );
        assert_eq!(
            answer("application/yaml;q=0.9, application/json;q=0.9").0,
            Encoding::Yaml
        );
        assert_eq!(
            answer("application/json;q=0, application/yaml;q=0.1").0,
            Encoding::Yaml
        );
        assert_eq!(
            answer("application/yaml;q=x;as=, text/html").0,
            Encoding::Yaml
        );
    }

    #[test]
    fn what_cannot_be_given_is_refused_with_what_can() {
        let refused = objects(Some("application/xml"), true).unwrap_err();
        assert_eq!(refused.code, 406);
        assert_eq!(
            refused.message,
            "only the following media types are accepted: application/json, application/yaml, application/vnd.kubernetes.protobuf"
        );
        assert!(objects(Some("application/json;as=Table;v=v2;g=meta.k8s.io"), true).is_err());
        assert!(objects(Some("application/json;as=Chart;v=v1;g=meta.k8s.io"), true).is_err());
        assert!(json(Some("application/yaml")).is_err());
        let old = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
        assert!(openapi_v2_protobuf(Some(old)).unwrap());
        assert!(!openapi_v2_protobuf(Some("application/json")).unwrap());
        assert!(openapi_v2_protobuf(Some("text/html")).is_err());
        assert!(json(Some("application/json")).is_ok());
    }

    #[test]
    fn discovery_has_three_forms() {
        let kubectl = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";
        assert_eq!(discovery(Some(kubectl)).unwrap(), Discovery::V2);
        let older = kubectl.split_once(',').unwrap().1;
        assert_eq!(discovery(Some(older)).unwrap(), Discovery::V2Beta1);
        assert_eq!(discovery(None).unwrap(), Discovery::Legacy);
        assert_eq!(
            discovery(Some(Discovery::V2.content_type())).unwrap(),
            Discovery::V2
        );
        assert!(discovery(Some("text/html")).is_err());
    }

    #[test]
    fn bodies_are_json_unless_they_say_otherwise() {
        assert_eq!(body(None).unwrap(), Encoding::Json);
        assert_eq!(
            body(Some("application/json; charset=utf-8")).unwrap(),
            Encoding::Json
        );
        assert_eq!(body(Some("Application/YAML")).unwrap(), Encoding::Yaml);
        assert_eq!(
            body(Some("application/vnd.kubernetes.protobuf")).unwrap(),
            Encoding::Protobuf
        );
        assert_eq!(
            body(Some("text/plain")).unwrap_err().message,
            "the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, application/vnd.kubernetes.protobuf"
        );
    }
}
