//! The `cronlet` binary: arguments, wiring, output. The only place that prints, reads the environment, and starts
//! threads that outlive a call.

mod arguments;
mod bootstrap;
mod client;
mod clock;
mod command;
mod diagnostic;
mod furnish;
mod limits;
mod machine;
mod node;
mod oci_runtime;
mod place;
mod print;
mod resources;
mod signals;

use std::process::ExitCode;

use clap::Parser;

use crate::arguments::{Arguments, Command};

fn main() -> ExitCode {
    // The shims of pods are forks of this binary, executed anew once. Nothing may come before: whatever is set up here
    // would be carried by every pod for its whole life.
    cronlet_runtime::fork_server::main_if_requested();

    let arguments = Arguments::parse();
    match run(arguments.command) {
        Ok(code) => code,
        Err(error) if print::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", print::causes(&error));
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Up(up) => command::up::run(&up),
        Command::Run(run) => command::run::run(&run),
        Command::Exec(exec) => command::exec::run(&exec),
        Command::Next(next) => command::next::run(&next),
        Command::Simulate(simulate) => command::simulate::run(&simulate),
        Command::Apply(apply) => command::apply::run(&apply),
        Command::Get(get) => command::get::run(&get),
        Command::Describe(describe) => command::describe::run(&describe),
        Command::Logs(logs) => command::logs::run(&logs),
        Command::Delete(delete) => command::delete::run(&delete),
        Command::Image(image) => command::image::run(&image),
        Command::Kubeconfig(kubeconfig) => command::kubeconfig::run(&kubeconfig),
        Command::Completion(completion) => command::completion::run(&completion),
        Command::Version(version) => command::version::run(&version),
    }
}
