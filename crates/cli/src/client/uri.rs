//! Paths of requests: of a resource, an object, or what hangs below it.

use std::fmt::Write as _;

use wasmjob_machinery::resource::Resource;

/// The path and the query of a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Uri(String);

impl Uri {
    /// The objects of a resource: in a namespace, or in all.
    pub(crate) fn list(resource: &Resource, namespace: Option<&str>) -> Self {
        let mut path = match resource.group {
            "" => format!("/api/{}", resource.version),
            group => format!("/apis/{group}/{}", resource.version),
        };
        if let Some(namespace) = namespace.filter(|_| resource.namespaced) {
            path.push_str("/namespaces/");
            escape(namespace, &mut path);
        }
        path.push('/');
        path.push_str(resource.plural);
        Self(path)
    }

    /// One object.
    pub(crate) fn object(resource: &Resource, namespace: &str, name: &str) -> Self {
        let mut uri = Self::list(resource, Some(namespace));
        uri.0.push('/');
        escape(name, &mut uri.0);
        uri
    }

    /// What hangs below the object.
    pub(crate) fn below(mut self, subresource: &str) -> Self {
        self.0.push('/');
        self.0.push_str(subresource);
        self
    }

    /// With a parameter.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.0.push(if self.0.contains('?') { '&' } else { '?' });
        self.0.push_str(name);
        self.0.push('=');
        escape(value, &mut self.0);
        self
    }

    /// With a parameter, if there is a value.
    pub(crate) fn with_some(self, name: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

fn escape(text: &str, into: &mut String) {
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                into.push(char::from(byte));
            }
            // Writing to a String cannot fail.
            _ => drop(write!(into, "%{byte:02X}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Uri;
    use wasmjob_machinery::resource;

    #[test]
    fn paths_and_queries_are_escaped() {
        let jobs = resource::find("batch", "v1", "jobs").unwrap();
        let nodes = resource::find("", "v1", "nodes").unwrap();
        let uri = Uri::object(jobs, "default", "a/b")
            .with("x", "a=b,c")
            .with("y", "1");
        assert_eq!(
            uri.as_str(),
            "/apis/batch/v1/namespaces/default/jobs/a%2Fb?x=a%3Db%2Cc&y=1"
        );
        assert_eq!(Uri::list(jobs, None).as_str(), "/apis/batch/v1/jobs");
        assert_eq!(
            Uri::object(nodes, "default", "n").as_str(),
            "/api/v1/nodes/n"
        );
    }
}
