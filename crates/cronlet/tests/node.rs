//! The program as its users meet it: a real node on loopback, its command line, and real kubectl where there is one.

#[path = "node/access.rs"]
mod access;
#[path = "node/api.rs"]
mod api;
#[path = "node/bad_input.rs"]
mod bad_input;
#[path = "node/commands.rs"]
mod commands;
#[path = "node/crash.rs"]
mod crash;
#[path = "node/cronjobs.rs"]
mod cronjobs;
#[path = "node/exec.rs"]
mod exec;
#[path = "node/job_expectations.rs"]
mod job_expectations;
#[path = "node/job_pods.rs"]
mod job_pods;
#[path = "node/job_scenarios.rs"]
mod job_scenarios;
#[path = "node/kubectl.rs"]
mod kubectl;
#[path = "node/run.rs"]
mod run;
#[path = "node/testing.rs"]
mod testing;
#[path = "node/told.rs"]
mod told;
#[path = "node/tutorial.rs"]
mod tutorial;
#[path = "node/volumes.rs"]
mod volumes;
