//! The command line: its words, their meaning, and what each defaults to.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};
use cronlet_runtime::{DiskThreshold, PodNetwork, Subnet};

use crate::{command, limits};

/// Kubernetes Jobs and CronJobs on one machine, in one binary, without a cluster.
#[derive(Parser)]
#[command(name = "cronlet", version, disable_help_subcommand = true, max_term_width = 100)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What cronlet can be asked to do.
#[derive(Subcommand)]
pub enum Command {
    /// Run a node in the foreground
    Up(Up),
    /// Run one Job to its end and stream its logs; exits 0 on Complete, 1 on Failed
    Run(command::run::Run),
    /// Run a command with retries, a time limit and a circuit breaker
    Exec(command::exec::ExecArguments),
    /// Show when a schedule fires next
    Next(command::next::Next),
    /// Play scenario files on a simulated node
    Simulate(command::simulate::Simulate),
    /// Create or change the objects of manifest files
    Apply(command::apply::Apply),
    /// List objects
    Get(command::get::Get),
    /// Show one object with its events
    Describe(command::describe::Describe),
    /// Print the logs of a pod, a Job or a CronJob's latest run
    Logs(command::logs::Logs),
    /// Delete objects
    Delete(command::delete::Delete),
    /// Work with the images of this machine
    Image(command::image::Image),
    /// Print the admin kubeconfig of the node on this machine
    Kubeconfig(command::kubeconfig::Kubeconfig),
    /// Print a shell completion script
    Completion(command::completion::Completion),
    /// Print the version
    Version(command::version::Version),
}

/// Run a node in the foreground.
#[derive(Args, Clone, Debug)]
pub struct Up {
    /// Manifest file or directory to apply once the node is ready; may be repeated
    #[arg(short, long = "file", value_name = "FILE|DIR")]
    pub files: Vec<PathBuf>,
    /// Where everything is kept [default: /var/lib/cronlet as root, else $XDG_STATE_HOME/cronlet]
    #[arg(long, value_name = "DIR", env = "CRONLET_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
    /// Address of the API; port 0 picks a free one
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:7443")]
    pub listen: SocketAddr,
    /// Where to write the admin kubeconfig [default: DATA_DIR/admin.kubeconfig]
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Where to tell of every request, as JSON lines; the file is replaced at 64 MiB and the last 4 are kept
    #[arg(long, value_name = "FILE")]
    pub audit_log: Option<PathBuf>,
    /// Where pods' logs are kept [default: /var/log as root, else DATA_DIR/log]
    #[arg(long, value_name = "DIR")]
    pub log_root: Option<PathBuf>,
    /// What runs pods: `none` leaves them Pending for a client to play the kubelet
    #[arg(long, value_enum, default_value_t = RuntimeChoice::Auto)]
    pub runtime: RuntimeChoice,
    #[command(flatten)]
    pub oci: OciOptions,
    /// How many processes a pod of containers may have at once; 0 for as many as it likes
    #[arg(long, value_name = "COUNT", default_value_t = limits::POD_PIDS_MAX)]
    pub pod_pids_limit: u32,
    /// How little may be free on the disk with the data before the pod that keeps the most is evicted and no other starts
    #[arg(long, value_name = "SIGNAL<AMOUNT", default_value = limits::EVICTION_HARD)]
    pub eviction_hard: DiskThreshold,
    /// Which network pods of containers have that do not say so (annotation cronlet.dev/network)
    #[arg(long, value_enum, value_name = "NETWORK", default_value_t = NetworkChoice::Host)]
    pub pod_network: NetworkChoice,
    /// The addresses of pods whose network is `bridge`: others than any network that this machine is in
    #[arg(long, value_name = "CIDR", default_value_t = Subnet::DEFAULT)]
    pub pod_cidr: Subnet,
    /// Keep objects in memory only: they are gone when the node ends
    #[arg(long)]
    pub in_memory: bool,
    /// End pods gracefully before the node ends; otherwise they outlive it
    #[arg(long)]
    pub stop_pods: bool,
    /// Print the output of every pod on standard error
    #[arg(long)]
    pub logs: bool,
}

/// What makes containers.
#[derive(Args, Clone, Debug, Default)]
pub struct OciOptions {
    /// Have this program make the containers of `--runtime oci`: `crun`, `runc`, or a path; needs root [default: cronlet
    /// makes them itself]
    #[arg(long, value_name = "NAME|PATH")]
    pub oci_runtime: Option<PathBuf>,
}

/// Which network pods of containers have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum NetworkChoice {
    /// The machine's own
    Host,
    /// None but loopback
    None,
    /// One of its own, with an address and a way out; needs root
    Bridge,
}

impl From<NetworkChoice> for PodNetwork {
    fn from(choice: NetworkChoice) -> Self {
        match choice {
            NetworkChoice::Host => PodNetwork::Host,
            NetworkChoice::None => PodNetwork::None,
            NetworkChoice::Bridge => PodNetwork::Bridge,
        }
    }
}

/// What runs pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RuntimeChoice {
    /// What needs nothing else on this machine: `process`
    Auto,
    /// Containers made of their images
    Oci,
    /// Processes of this machine, without an image
    Process,
    /// Nothing: pods stay Pending
    None,
}
