//! `cronlet up`: a node in the foreground.

mod fresh;
mod show;

use std::{
    fs,
    io::{self, IsTerminal, Write},
    pin::pin,
    process::ExitCode,
};

use anyhow::bail;
use cronlet_object::Clock;
use cronlet_runtime::{NetworkConfig, users};
use jiff::{Timestamp, tz::TimeZone};
use tokio::{select, time::timeout};

use self::fresh::Fresh;
use crate::{
    arguments::{RuntimeChoice, Up},
    bootstrap::{self, Options, Server},
    client::{Client, Target},
    clock::SystemClock,
    command::apply,
    diagnostic::{self, FileManifest},
    limits, place,
    signals::Signals,
};

/// Worker threads of the API. Requests are short and wait for one disk.
const API_THREADS: usize = 2;

/// Runs a node until it is told to end.
pub fn run(up: &Up) -> anyhow::Result<ExitCode> {
    log_to_stderr();
    // Manifests that cannot be read are refused before anything is started.
    let manifests = diagnostic::read_manifests(&up.files)?;
    let data_dir = place::data_dir(up.data_dir.as_deref())?;
    // Before there are threads. Processes of the machine are the user's own.
    if up.runtime == RuntimeChoice::Oci {
        users::enter_ranges(Some(&data_dir));
    }
    let options = Options {
        log_root: place::log_root(up.log_root.as_deref(), &data_dir)?,
        data_dir,
        listen: up.listen,
        kubeconfig: up.kubeconfig.clone(),
        audit_log: up.audit_log.clone(),
        runtime: up.runtime,
        oci: up.oci.clone(),
        network: NetworkConfig { default: up.pod_network.into(), subnet: up.pod_cidr },
        pod_pids_max: Some(up.pod_pids_limit).filter(|limit| *limit > 0),
        disk_threshold: up.eviction_hard,
        in_memory: up.in_memory,
    };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(API_THREADS).enable_all().build()?;
    runtime.block_on(serve(up, &options, &manifests))
}

/// Diagnostics go to standard error; `CRONLET_LOG=debug` shows more.
fn log_to_stderr() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("CRONLET_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        .init();
}

async fn serve(up: &Up, options: &Options, manifests: &[FileManifest]) -> anyhow::Result<ExitCode> {
    // Before the node is ready: a signal that comes early must not kill it half-way.
    let mut signals = Signals::new()?;
    let fresh = Fresh::before(options);
    let mut server = bootstrap::start(options).await?;
    if up.logs {
        show::outputs(&server);
    }
    // First as a dry run, so that either all or none is accepted.
    for dry_run in [true, false] {
        if let Err(error) = apply_files(&server, manifests, dry_run).await {
            server.stop(up.stop_pods).await;
            if dry_run {
                fresh.remove();
            }
            return Err(error);
        }
    }
    println!("cronlet ready {} kubeconfig={}", server.url, server.kubeconfig.display());
    io::stdout().flush()?;
    say_what_next(&server, manifests);
    if let Some(reason) = until_the_end(&mut signals, &mut server).await {
        server.stop(false).await;
        bail!("the store failed: {reason}\nhint: pods run on; start the node again when the cause is mended");
    }
    let pods = server.pods();
    let mut stopping = Box::pin(server.stop(up.stop_pods));
    select! {
        () = &mut stopping => {}
        () = signals.next() => {
            eprintln!("cronlet: told twice to end: ending the pods too");
            if let Some(pods) = pods {
                pods.stop_all().await;
            }
            stopping.await;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Waits until the node is told to end, or its store has failed: then for what reason.
async fn until_the_end(signals: &mut Signals, server: &mut Server) -> Option<String> {
    let mut end = pin!(async {
        select! {
            () = signals.next() => None,
            Ok(reason) = &mut server.failure => Some(reason),
        }
    });
    if let Ok(end) = timeout(limits::REST_AFTER, &mut end).await {
        return end;
    }
    // If that cannot be done, more is kept than must be.
    let _ = cronlet_runtime::give_back_text();
    end.await
}

/// Applies the files as `cronlet apply` would.
async fn apply_files(server: &Server, manifests: &[FileManifest], dry_run: bool) -> anyhow::Result<()> {
    if manifests.is_empty() {
        return Ok(());
    }
    let client =
        Client::connect(&Target { kubeconfig: Some(server.kubeconfig.clone()), ..Target::default() }).await?;
    let mut tell = |line: &str| if dry_run { Ok(()) } else { writeln!(io::stderr(), "{line}") };
    if !apply::apply(&client, manifests, dry_run, &mut tell).await? {
        let others = if dry_run { "nothing was applied" } else { "the others were applied" };
        bail!("manifests were refused; {others}");
    }
    Ok(())
}

/// A person at a terminal is told what to type.
fn say_what_next(server: &Server, manifests: &[FileManifest]) {
    let cronjob = manifests.iter().find(|manifest| manifest.kind() == "CronJob");
    if let Some(manifest) = cronjob {
        let next = next_run(manifest, SystemClock.now());
        eprintln!("\ncronjob/{} runs next {}", manifest.name(), next.unwrap_or_else(|| "never".into()));
    }
    let name = cronjob.map_or("NAME", FileManifest::name);
    let program = program();
    eprintln!(
        "\nNext, in another terminal:\n  export KUBECONFIG={}\n  kubectl get cronjobs,jobs,pods      # or: {program} get \
         cronjobs,jobs,pods\n  kubectl describe cronjob {name}\n  {program} logs cronjob/{name}\nCtrl-C ends the node; \
         running pods are left alone.\n",
        server.kubeconfig.display()
    );
}

/// What to type to run this program: `cronlet` where that is what the shell finds, else the program as it was invoked.
fn program() -> String {
    let invoked = || std::env::args().next().filter(|name| name.contains('/'));
    let this = std::env::current_exe().and_then(fs::canonicalize).ok();
    let on_path = std::env::var_os("PATH").and_then(|path| {
        std::env::split_paths(&path).map(|dir| dir.join("cronlet")).find(|file| file.is_file())
    });
    match (this, on_path.and_then(|file| fs::canonicalize(file).ok())) {
        (Some(this), Some(found)) if this == found => "cronlet".to_owned(),
        (this, _) => {
            invoked().or(this.map(|path| path.display().to_string())).unwrap_or("cronlet".to_owned())
        }
    }
}

/// When a CronJob's manifest fires next, in words.
fn next_run(manifest: &FileManifest, now: Timestamp) -> Option<String> {
    let spec = &manifest.value()["spec"];
    let zone = match spec["timeZone"].as_str() {
        Some(name) => TimeZone::get(name).ok()?,
        None => TimeZone::system(),
    };
    let schedule = cronlet_schedule::Schedule::parse(spec["schedule"].as_str()?).ok()?;
    let next = schedule.next_after(now, &zone)?;
    let seconds = next.duration_since(now).as_secs();
    Some(format!("at {} (in {seconds} s)", next.to_zoned(zone).strftime("%H:%M:%S")))
}
