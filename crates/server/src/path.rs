//! What a request path asks for.

use std::borrow::Cow;

use cronlet_object::{Key, Kind};
use percent_encoding::percent_decode_str;

use crate::{
    discovery,
    metrics::{self, Metrics},
    review::Review,
};

/// What a request path names.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// `/api`: the versions of the core group.
    CoreVersions,
    /// `/apis`: the other groups.
    Groups,
    /// `/apis/{group}`: the versions of one group.
    Group(&'static str),
    /// `/api/v1`, `/apis/{group}/{version}`: the resources of one group and version.
    Resources {
        /// The API group; empty for the core group.
        group: &'static str,
        /// The version in the group.
        version: &'static str,
    },
    /// `/openapi/v2`: one document about everything.
    OpenApiV2,
    /// `/openapi/v3`: where the documents are.
    OpenApiIndex,
    /// `/openapi/v3/{api/v1, apis/{group}/{version}}`: the document of one group and version.
    OpenApiDocument {
        /// The API group; empty for the core group.
        group: &'static str,
        /// The version in the group.
        version: &'static str,
    },
    /// A question about the caller, asked by creating it.
    Review(Review),
    /// What pods or the node use.
    Metrics(Metrics),
    /// The objects of a kind: of one namespace, or of all.
    Collection {
        /// The kind of the objects.
        kind: Kind,
        /// The namespace; none for kinds without one and for the objects of all namespaces.
        namespace: Option<String>,
    },
    /// One object or a part of it.
    Object {
        /// The object.
        key: Key,
        /// The part.
        part: Part,
    },
}

/// A part of an object that has a path of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The object itself.
    Whole,
    /// `/status`
    Status,
    /// `/log` of a pod.
    Log,
    /// `/exec` of a pod.
    Exec,
    /// `/attach` of a pod.
    Attach,
    /// `/portforward` of a pod.
    PortForward,
    /// `/eviction` of a pod.
    Eviction,
    /// `/token` of a service account.
    Token,
}

/// A path that names nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// Nothing in the API.
    Resource,
    /// Nothing at all: the path lies outside the API.
    Page,
}

/// Finds what a request path names. Empty segments at the end are passed over, as upstream does.
///
/// # Errors
/// If it names nothing; [`Unknown`] says how the answer is to look.
pub fn parse(path: &str) -> Result<Target, Unknown> {
    let decoded: Option<Vec<Cow<'_, str>>> = path
        .trim_matches('/')
        .split('/')
        .map(|segment| percent_decode_str(segment).decode_utf8().ok())
        .collect();
    let segments = decoded.ok_or(Unknown::Page)?;
    let segments: Vec<&str> = segments.iter().map(AsRef::as_ref).collect();
    match segments.as_slice() {
        ["api"] => Ok(Target::CoreVersions),
        ["apis"] => Ok(Target::Groups),
        ["apis", group] => discovery::group(group).map(Target::Group).ok_or(Unknown::Resource),
        ["openapi", "v2"] => Ok(Target::OpenApiV2),
        ["openapi", "v3"] => Ok(Target::OpenApiIndex),
        ["openapi", "v3", "api", version] => document("", version),
        ["openapi", "v3", "apis", group, version] => document(group, version),
        ["api", version, rest @ ..] => resource("", version, rest).ok_or(Unknown::Resource),
        ["apis", group, version, rest @ ..] => resource(group, version, rest).ok_or(Unknown::Resource),
        _ => Err(Unknown::Page),
    }
}

fn document(group: &str, version: &str) -> Result<Target, Unknown> {
    let (group, version) = discovery::group_version(group, version).ok_or(Unknown::Page)?;
    Ok(Target::OpenApiDocument { group, version })
}

fn resource(group: &str, version: &str, rest: &[&str]) -> Option<Target> {
    let (group, version) = discovery::group_version(group, version)?;
    let kind = |plural| Kind::from_resource(group, version, plural);
    match rest {
        [] => Some(Target::Resources { group, version }),
        _ if group == metrics::GROUP => Metrics::from_resource(rest).map(Target::Metrics),
        [plural] => match kind(plural) {
            Some(kind) => Some(Target::Collection { kind, namespace: None }),
            None => Review::from_resource(group, version, plural, "").map(Target::Review),
        },
        ["namespaces", namespace, plural] if !namespace.is_empty() && kind(plural).is_none() => {
            let review = Review::from_resource(group, version, plural, namespace);
            review.map(Target::Review).or_else(|| object(kind("namespaces")?, "", namespace, &[*plural]))
        }
        // A namespace's own path is the prefix of its contents' paths; resources win over its subresources.
        ["namespaces", namespace, plural, rest @ ..] if kind(plural).is_some() => {
            let kind = kind(plural).filter(|kind| kind.descriptor().namespaced && !namespace.is_empty())?;
            match rest {
                [] => Some(Target::Collection { kind, namespace: Some((*namespace).to_owned()) }),
                [name, part @ ..] => object(kind, namespace, name, part),
            }
        }
        [plural, name, part @ ..] => {
            let kind = kind(plural).filter(|kind| !kind.descriptor().namespaced)?;
            object(kind, "", name, part)
        }
    }
}

fn object(kind: Kind, namespace: &str, name: &str, part: &[&str]) -> Option<Target> {
    let part = match part {
        [] => Part::Whole,
        ["status"] if kind.descriptor().has_status => Part::Status,
        ["log"] if kind == Kind::Pod => Part::Log,
        ["exec"] if kind == Kind::Pod => Part::Exec,
        ["attach"] if kind == Kind::Pod => Part::Attach,
        ["portforward"] if kind == Kind::Pod => Part::PortForward,
        ["token"] if kind == Kind::ServiceAccount => Part::Token,
        ["eviction"] if kind == Kind::Pod => Part::Eviction,
        _ => return None,
    };
    (!name.is_empty()).then(|| Target::Object { key: Key::new(kind, namespace, name), part })
}

#[cfg(test)]
mod tests;
