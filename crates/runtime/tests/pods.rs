//! Pods from their creation to their end, with real shims and real processes.
//!
//! This program is also what the tests execute: as the shim of every pod, and as a server that is killed or that may
//! not do what root may.

#[path = "pods/node.rs"]
mod node;

#[path = "pods/attach.rs"]
mod attach;

#[path = "pods/containers.rs"]
mod containers;

#[path = "pods/exec.rs"]
mod exec;

#[path = "pods/external.rs"]
mod external;

#[path = "pods/health.rs"]
mod health;

#[path = "pods/hostile.rs"]
mod hostile;

#[path = "pods/lives.rs"]
mod lives;

#[path = "pods/network.rs"]
mod network;

#[path = "pods/outputs.rs"]
mod outputs;

#[path = "pods/pulls.rs"]
mod pulls;

#[path = "pods/ranges.rs"]
mod ranges;

#[path = "pods/rights.rs"]
mod rights;

#[path = "pods/servers.rs"]
mod servers;

#[path = "pods/sharing.rs"]
mod sharing;

#[path = "pods/storage.rs"]
mod storage;

#[path = "pods/volumes.rs"]
mod volumes;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    process::ExitCode,
};

/// A test and its name.
type Test = (&'static str, fn());

/// Names the functions of a module as tests.
#[macro_export]
macro_rules! tests {
    ($($name:ident),* $(,)?) => {
        pub const TESTS: &[$crate::Test] = &[$((concat!(module_path!(), "::", stringify!($name)), $name)),*];
    };
}

/// A test, its name, and what makes the containers in it, if not we ourselves.
type Case = (String, fn(), Option<cronlet_runtime::spec::OciRuntime>);

/// The tests of containers that OCI runtimes of this machine make.
fn of_runtimes() -> Vec<Case> {
    let mut all = Vec::new();
    for name in external::RUNTIMES {
        match external::find(name) {
            Ok(runtime) => {
                let tests = external::tests().into_iter();
                all.extend(tests.map(|(test, run)| (format!("{name}::{test}"), run, Some(runtime.clone()))));
            }
            Err(why) => println!("the tests of containers that {name} makes are not run: {why}"),
        }
    }
    all
}

fn main() -> ExitCode {
    cronlet_runtime::fork_server::main_if_requested();
    servers::main_if_requested();
    // For the registry that does not answer. Nobody has installed another one before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let filters: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let mut all =
        [lives::TESTS, health::TESTS, exec::TESTS, attach::TESTS, outputs::TESTS, servers::TESTS].concat();
    if servers::has_namespaces() {
        all.extend([storage::TESTS, volumes::TESTS].concat());
        if containers::has_busybox() {
            let of_images = [containers::TESTS, attach::IN_IMAGES, hostile::TESTS, network::TESTS];
            let more = [pulls::TESTS, ranges::TESTS, rights::TESTS, sharing::TESTS];
            all.extend([of_images.concat(), more.concat()].concat());
        } else {
            println!(
                "the tests of containers are not run: there is no /bin/busybox (Debian's busybox-static)"
            );
        }
    } else {
        println!(
            "the tests of containers and of volumes that are mounted are not run: this system has no mount namespaces \
             for us"
        );
    }
    let mut all: Vec<Case> = all.into_iter().map(|(name, test)| (name.to_owned(), test, None)).collect();
    if servers::has_namespaces() && containers::has_busybox() {
        all.extend(of_runtimes());
    }
    let chosen =
        |(name, ..): &&Case| filters.is_empty() || filters.iter().any(|filter| name.contains(&**filter));
    let mut failed = Vec::new();
    for (name, test, runtime) in all.iter().filter(chosen) {
        external::set(runtime.clone());
        print!("test {name} ... ");
        match catch_unwind(AssertUnwindSafe(test)) {
            Ok(()) => println!("ok"),
            Err(_) => {
                println!("FAILED");
                failed.push(name.as_str());
            }
        }
    }
    if failed.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("failed: {}", failed.join(", "));
    ExitCode::FAILURE
}
