//! Rust types by the names that Go's error messages give them.

use std::any::type_name;

/// The Go type that stands for `T`: `int32`, `[]v1.Container`, `map[string]string`. It is for messages
/// only; an unforeseen type goes by its Rust name.
pub(super) fn go_type<T>() -> String {
    translate(type_name::<T>())
}

fn translate(rust: &str) -> String {
    let arguments = |generic: &str| {
        let inner = rust.strip_suffix('>')?.strip_prefix(generic)?;
        inner.strip_prefix('<')
    };
    if let Some(inner) = arguments("core::option::Option") {
        return translate(inner);
    }
    if let Some(element) = arguments("alloc::vec::Vec") {
        return format!("[]{}", translate(element));
    }
    if let Some((_, value)) =
        arguments("alloc::collections::btree::map::BTreeMap").and_then(|inner| inner.split_once(", "))
    {
        return format!("map[string]{}", translate(value));
    }
    let segments: Vec<&str> = rust.split("::").collect();
    match segments[..] {
        ["i8" | "i16" | "i32" | "i64"] => rust.replacen('i', "int", 1),
        ["u8" | "u16" | "u32" | "u64"] => rust.replacen('u', "uint", 1),
        ["f32" | "f64"] => rust.replacen('f', "float", 1),
        // Such as k8s_openapi::v1_36::api::batch::v1::job_spec::JobSpec, a `v1.JobSpec` in Go.
        ["k8s_openapi", .., version, _, name] => format!("{version}.{name}"),
        [.., "String"] => "string".to_owned(),
        [.., name] => name.to_owned(),
        [] => rust.to_owned(),
    }
}
