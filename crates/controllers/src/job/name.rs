//! The names of pods.

/// The longest prefix that leaves room for five random characters in 63
/// (`MaxGeneratedNameLength` of Kubernetes' name generator).
const PREFIX_BYTES_MAX: usize = 58;

/// What a pod's name begins with: `<job>-`, or `<job>-<index>-`, cut to fit.
///
/// The host appends five random characters. When the name of an Indexed Job is
/// too long, it is the name that is cut, not the index
/// (`podGenerateNameWithIndex`).
#[must_use]
pub fn pod_name_prefix(job: &str, index: Option<u32>) -> String {
    let Some(index) = index else {
        let prefix = format!("{job}-");
        return cut(&prefix, PREFIX_BYTES_MAX).to_owned();
    };
    let ending = format!("-{index}-");
    let job = cut(job, PREFIX_BYTES_MAX - ending.len());
    format!("{job}{ending}")
}

fn cut(text: &str, bytes_max: usize) -> &str {
    let mut end = bytes_max.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
