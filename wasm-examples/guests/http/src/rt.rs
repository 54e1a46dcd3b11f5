//! What generated bindings want of `wit-bindgen`'s runtime.

/// Makes sure that there is a `cabi_realloc`: std has one.
pub fn maybe_link_cabi_realloc() {}
