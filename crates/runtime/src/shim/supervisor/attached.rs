//! The part of a shim's loop that is about clients: who is attached, and what they say.

use std::path::Path;

use super::Supervisor;
use crate::shim::attach::{self, Said};

impl Supervisor<'_> {
    /// Attaches a client that listens at a socket in the pod's directory, which is the current one: its whole path may
    /// be longer than the path of a socket can be.
    pub(super) fn attach(&mut self, container: &str, socket: &str, stdin: bool) {
        // Who does not listen any more wants nothing any more.
        let Ok(socket) = attach::connect(Path::new(socket)) else { return };
        let position = self.pod.position(container);
        let running = |position: &usize| {
            self.live[*position].as_ref().is_some_and(|live| live.leftovers_until().is_none())
        };
        let Some(position) = position.filter(running) else {
            // In the kubelet's words.
            return attach::refuse(&socket, &format!("container not found ({container:?})"));
        };
        let streams = self.pod.containers[position].streams;
        self.attached.add(position, socket, stdin && streams.stdin, streams.tty);
    }

    /// Takes in what a client says, and sends it what it takes.
    pub(super) fn attend(&mut self, id: u64) {
        let said = self.attached.listen(id, &mut self.buffer);
        let Some((container, stdin)) = self.attached.client(id) else { return };
        let live = &mut self.live[container];
        for said in said {
            match (said, live.as_mut()) {
                (Said::Input(bytes), Some(live)) => live.write_input(&bytes),
                (Said::Size(columns, rows), Some(live)) => live.resize(columns, rows),
                (Said::EndOfInput, Some(live)) if stdin && live.input_ends_with_its_client() => {
                    live.end_input();
                }
                // There is nothing more to do for who wanted to write (as upstream).
                (Said::EndOfInput, _) if stdin => self.attached.detach(id),
                (Said::Gone, live) => {
                    if let Some(live) = live.filter(|live| stdin && live.input_ends_with_its_client()) {
                        live.end_input();
                    }
                    self.attached.remove(id);
                }
                _ => {}
            }
        }
        self.attached.flush(id);
    }
}
