//! Who a container runs as: its own security context before the pod's, and within what the node itself may do.

use std::collections::HashMap;

use cronlet_object::api;

use super::Inputs;
use crate::spec::Identity;

/// What the node itself runs as, and the users it knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Users {
    /// The node's own user.
    pub uid: u32,
    /// The node's own group.
    pub gid: u32,
    /// The node's own supplementary groups.
    pub groups: Vec<u32>,
    known: HashMap<u32, User>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct User {
    gid: u32,
    home: String,
}

impl Users {
    /// Takes the users from the text of `/etc/passwd`. Lines that make no sense are left out.
    pub fn new(uid: u32, gid: u32, groups: Vec<u32>, passwd: &str) -> Self {
        let user = |line: &str| {
            let mut fields = line.split(':').skip(2);
            let uid = fields.next()?.parse().ok()?;
            let gid = fields.next()?.parse().ok()?;
            let home = fields.nth(1)?.to_owned();
            Some((uid, User { gid, home }))
        };
        let mut known = HashMap::new();
        for (uid, user) in passwd.lines().filter_map(user) {
            // Of several names for one user the first counts.
            known.entry(uid).or_insert(user);
        }
        Users { uid, gid, groups, known }
    }

    /// The home directory of a user, or of the node's own.
    pub(super) fn home(&self, uid: Option<u32>) -> String {
        let user = self.known.get(&uid.unwrap_or(self.uid));
        user.map(|user| user.home.clone()).filter(|home| !home.is_empty()).unwrap_or_else(|| "/".to_owned())
    }

    pub(super) fn primary_group(&self, uid: u32) -> u32 {
        self.known.get(&uid).map_or(0, |user| user.gid)
    }
}

/// What a pod and a container say about who the container runs as.
pub(super) struct Wanted {
    pub(super) user: Option<u32>,
    pub(super) group: Option<u32>,
    /// Supplementary groups.
    pub(super) groups: Vec<u32>,
    /// Whether it may not be root.
    pub(super) not_root: bool,
}

pub(super) fn wanted(spec: &api::PodSpec, container: &api::Container) -> Result<Wanted, String> {
    let pod = spec.security_context.as_ref();
    let own = container.security_context.as_ref();
    let user = own.and_then(|own| own.run_as_user).or(pod.and_then(|pod| pod.run_as_user));
    let group = own.and_then(|own| own.run_as_group).or(pod.and_then(|pod| pod.run_as_group));
    let not_root = own.and_then(|own| own.run_as_non_root).or(pod.and_then(|pod| pod.run_as_non_root));
    let supplemental = pod.and_then(|pod| pod.supplemental_groups.as_deref()).unwrap_or_default();
    let mut groups: Vec<u32> = Vec::with_capacity(supplemental.len() + 1);
    for &group in supplemental {
        groups.extend(id(Some(group))?);
    }
    Ok(Wanted { user: id(user)?, group: id(group)?, groups, not_root: not_root == Some(true) })
}

/// Who a container runs as; nothing if as the node does.
pub(super) fn resolve(
    inputs: &Inputs<'_>,
    spec: &api::PodSpec,
    container: &api::Container,
) -> Result<Option<Identity>, String> {
    let users = &inputs.node.users;
    let pod = spec.security_context.as_ref();
    let Wanted { user, group, mut groups, not_root } = wanted(spec, container)?;
    if not_root {
        refuse_root(inputs, container, user)?;
    }
    if users.uid != 0 {
        return refuse_others(users, user, group, &groups).map(|()| None);
    }
    groups.extend(id(pod.and_then(|pod| pod.fs_group))?);
    if user.is_none() && group.is_none() && groups.is_empty() {
        return Ok(None);
    }
    let uid = user.unwrap_or(users.uid);
    let gid = group.unwrap_or_else(|| users.primary_group(uid));
    Ok(Some(Identity { uid, gid, groups }))
}

pub(super) fn id(value: Option<i64>) -> Result<Option<u32>, String> {
    let convert =
        |value: i64| u32::try_from(value).map_err(|_| format!("{value} is no user or group of this system"));
    value.map(convert).transpose()
}

/// A container as messages name it.
pub(super) fn place(inputs: &Inputs<'_>, container: &api::Container) -> String {
    let metadata = &inputs.pod.metadata;
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let pod = format!("{}_{}({})", text(&metadata.name), text(&metadata.namespace), text(&metadata.uid));
    format!("(pod: {pod:?}, container: {})", container.name)
}

fn refuse_root(inputs: &Inputs<'_>, container: &api::Container, user: Option<u32>) -> Result<(), String> {
    let place = place(inputs, container);
    match user {
        Some(0) => Err(format!("container's runAsUser breaks non-root policy {place}")),
        None if inputs.node.users.uid == 0 => {
            Err(format!("container has runAsNonRoot and image will run as root {place}"))
        }
        _ => Ok(()),
    }
}

/// Without root there is only one user, the node's own. A group that it does not have would grant what it must not.
fn refuse_others(users: &Users, user: Option<u32>, group: Option<u32>, groups: &[u32]) -> Result<(), String> {
    let remedy = "leave it out, or run the node as root";
    if let Some(user) = user.filter(|&user| user != users.uid) {
        return Err(format!(
            "runAsUser {user} is not the user {} that the node runs as: {remedy}",
            users.uid
        ));
    }
    if let Some(group) = group.filter(|&group| group != users.gid) {
        return Err(format!(
            "runAsGroup {group} is not the group {} that the node runs as: {remedy}",
            users.gid
        ));
    }
    match groups.iter().find(|&group| *group != users.gid && !users.groups.contains(group)) {
        Some(group) => {
            Err(format!("supplementalGroups has {group}, which the node is not a member of: {remedy}"))
        }
        None => Ok(()),
    }
}
