//! `cronlet kubeconfig`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, anyhow, bail};
use clap::{Args, ValueEnum};
use cronlet_object::Clock as _;
use cronlet_server::Pki;
use http::{Request, header};
use kube::config::Kubeconfig as Parsed;
use serde_json::{Value, json};

use crate::{
    client::{Client, Refused, Target},
    clock::SystemClock,
    place, print,
};

const RBAC: &str = "rbac.authorization.k8s.io";

/// Print the admin kubeconfig of the node on this machine, or one for a user with a role.
#[derive(Args)]
pub struct Kubeconfig {
    /// The node's data directory
    #[arg(long, value_name = "DIR", env = "CRONLET_DATA_DIR")]
    data_dir: Option<PathBuf>,
    /// Print the file's path instead of its content
    #[arg(long)]
    path: bool,
    /// Print one for this user instead, with a certificate that is made now; the node must run
    #[arg(long, value_name = "NAME", requires = "role", conflicts_with = "path")]
    user: Option<String>,
    /// What the user may do: look, change things, or also give rights to others
    #[arg(long, value_enum, requires = "user")]
    role: Option<Role>,
    /// In this namespace only [default: in all of them]
    #[arg(short, long, value_name = "NAME", requires = "user")]
    namespace: Option<String>,
}

/// The roles that every cluster has for people.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Role {
    View,
    Edit,
    Admin,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Role::View => "view",
            Role::Edit => "edit",
            Role::Admin => "admin",
        }
    }
}

/// Prints what `cronlet up` wrote, or a kubeconfig for a user.
pub fn run(arguments: &Kubeconfig) -> anyhow::Result<ExitCode> {
    let data_dir = place::data_dir(arguments.data_dir.as_deref())?;
    let path = data_dir.join(place::KUBECONFIG_NAME);
    let text = fs::read_to_string(&path).map_err(|error| {
        anyhow!("{}: no kubeconfig: {error}\nhint: `cronlet up` writes it at its first start", path.display())
    })?;
    if let (Some(user), Some(role)) = (&arguments.user, arguments.role) {
        let text = super::block_on(for_user(&data_dir, &path, (user, role), arguments.namespace.as_deref()))?;
        print::out(&text)?;
    } else if arguments.path {
        print::out(&format!("{}\n", path.display()))?;
    } else {
        print::out(&text)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Binds a user to a role and makes a certificate for them.
async fn for_user(
    data_dir: &Path,
    admin: &Path,
    (user, role): (&str, Role),
    namespace: Option<&str>,
) -> anyhow::Result<String> {
    if user.is_empty() || user.starts_with("system:") {
        bail!(
            "{user:?}: no name for a user: it is empty or begins with `system:`, as the names of the system do"
        );
    }
    let parsed = Parsed::read_from(admin).with_context(|| admin.display().to_string())?;
    let cluster = parsed.clusters.into_iter().find_map(|cluster| cluster.cluster?.server);
    let server = cluster.ok_or_else(|| anyhow!("{}: names no server", admin.display()))?;
    let target = Target { kubeconfig: Some(admin.to_owned()), ..Target::default() };
    let client = Client::connect(&target).await?;
    bind(&client, user, role, namespace).await?;
    let (own, authority) = Pki::issue_user(&data_dir.join("pki"), user, SystemClock.now())?;
    Ok(cronlet_server::kubeconfig(&server, &authority, user, &own, namespace))
}

/// Makes the binding, unless it is there already.
async fn bind(client: &Client, user: &str, role: Role, namespace: Option<&str>) -> anyhow::Result<()> {
    let (kind, path) = match namespace {
        Some(namespace) => ("RoleBinding", format!("namespaces/{namespace}/rolebindings")),
        None => ("ClusterRoleBinding", "clusterrolebindings".to_owned()),
    };
    let body = json!({
        "apiVersion": format!("{RBAC}/v1"),
        "kind": kind,
        "metadata": {"name": format!("{user}-{}", role.name()).replace(['/', '%'], "-")},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": role.name()},
        "subjects": [{"apiGroup": RBAC, "kind": "User", "name": user}],
    });
    let request = Request::post(format!("/apis/{RBAC}/v1/{path}"))
        .header(header::CONTENT_TYPE, "application/json")
        .body(body.to_string().into_bytes())?;
    match client.json(request).await {
        Err(error)
            if error.downcast_ref::<Refused>().is_some_and(|refused| refused.reason == "AlreadyExists") =>
        {
            Ok(())
        }
        made => made.map(|_: Value| ()),
    }
}
