//! The names by which the pods of a subdomain find each other, as on a cluster those of a headless Service do: in each
//! one's `/etc/hosts`, where they are kept up to date.

use std::{
    fmt::Write as _,
    fs::File,
    io::{self, Read, Seek, Write as _},
    net::Ipv4Addr,
    path::Path,
};

use cronlet_object::api;

use crate::resolve::network;

/// The line before the names that are kept.
const BEGIN: &str = "# Pods of this subdomain.\n";
/// The line after them. What others have written around the two stays.
const END: &str = "# End of the pods of this subdomain.\n";

/// What a pod is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Names {
    pub(super) namespace: String,
    pub(super) hostname: String,
    pub(super) subdomain: Option<String>,
}

impl Names {
    pub(super) fn of(pod: &api::Pod) -> Self {
        let spec = pod.spec.clone().unwrap_or_default();
        Names {
            namespace: pod.metadata.namespace.clone().unwrap_or_default(),
            hostname: network::own_hostname(pod),
            subdomain: spec.subdomain.filter(|subdomain| !subdomain.is_empty()),
        }
    }

    /// The namespace and the subdomain; nothing without one.
    pub(super) fn group(&self) -> Option<(String, String)> {
        Some((self.namespace.clone(), self.subdomain.clone()?))
    }
}

/// Where the names will be in a new file.
pub(crate) fn heading() -> String {
    format!("\n{BEGIN}{END}")
}

/// The lines for the pods of a subdomain in the file of the one whose address is `own`, and who has its own name there
/// already: each by its name, by that with the subdomain, and all by the subdomain alone, as far as they are written.
fn lines(own: Ipv4Addr, all: &[(Ipv4Addr, &Names)]) -> String {
    let mut text = String::new();
    for (address, Names { namespace, hostname, subdomain }) in all {
        let Some(subdomain) = subdomain else { continue };
        let services = network::names_of(subdomain, namespace);
        let mut names: Vec<String> = services.iter().map(|service| format!("{hostname}.{service}")).collect();
        if *address == own {
            names.remove(0);
        } else {
            names.push(hostname.clone());
        }
        // Writing to a text does not fail.
        let _ = writeln!(text, "{address}\t{}", names.join("\t"));
        let _ = writeln!(text, "{address}\t{}", services.join("\t"));
    }
    text
}

/// Puts the lines where they belong; nothing if somebody has removed that place.
fn replaced(text: &str, lines: &str) -> Option<String> {
    let begin = text.find(BEGIN)? + BEGIN.len();
    let end = begin + text[begin..].find(END)?;
    Some([&text[..begin], lines, &text[end..]].concat())
}

/// Brings a pod's `/etc/hosts` up to date. The file stays the one that containers have mounted.
pub(super) fn write(file: &Path, own: Ipv4Addr, all: &[(Ipv4Addr, &Names)]) -> io::Result<()> {
    let mut file = match File::options().read(true).write(true).open(file) {
        // The pod is about to be removed.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    let mut old = Vec::new();
    file.read_to_end(&mut old)?;
    let old = String::from_utf8_lossy(&old);
    let Some(new) = replaced(&old, &lines(own, all)).filter(|new| *new != old) else { return Ok(()) };
    file.rewind()?;
    // At once, so that nobody reads half a line.
    file.write_all(new.as_bytes())?;
    file.set_len(new.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(hostname: &str) -> Names {
        Names { namespace: "ns".into(), hostname: hostname.into(), subdomain: Some("sub".into()) }
    }

    #[test]
    fn pods_of_a_subdomain_have_the_names_of_a_headless_service() {
        let (one, two) = (Ipv4Addr::new(10, 244, 0, 2), Ipv4Addr::new(10, 244, 0, 3));
        let (first, second) = (names("job-0"), names("job-1"));
        let text = lines(one, &[(one, &first), (two, &second)]);
        let services = "sub.ns.svc.cluster.local\tsub.ns.svc\tsub.ns\tsub";
        let expected = format!(
            "10.244.0.2\tjob-0.sub.ns.svc\tjob-0.sub.ns\tjob-0.sub\n10.244.0.2\t{services}\n\
             10.244.0.3\tjob-1.sub.ns.svc.cluster.local\tjob-1.sub.ns.svc\tjob-1.sub.ns\tjob-1.sub\tjob-1\n\
             10.244.0.3\t{services}\n"
        );
        assert_eq!(text, expected);
    }

    #[test]
    fn what_others_have_written_stays() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let read = || std::fs::read_to_string(file.path()).unwrap();
        let text = format!("127.0.0.1\tlocalhost\n{}10.0.0.9\tmine\n", heading());
        std::fs::write(file.path(), &text).unwrap();
        let (one, two) = (Ipv4Addr::new(10, 244, 0, 2), Ipv4Addr::new(10, 244, 0, 3));
        let (first, second) = (names("job-0"), names("job-1"));
        write(file.path(), one, &[(one, &first), (two, &second)]).unwrap();
        let all = read();
        assert!(all.starts_with("127.0.0.1\tlocalhost\n") && all.ends_with("10.0.0.9\tmine\n"), "{all}");
        assert!(all.contains("\tjob-1\n"), "{all}");
        // Those that have gone are gone, and what is shorter leaves nothing behind.
        write(file.path(), one, &[]).unwrap();
        assert_eq!(read(), text);
        // Who removes the place does not want it.
        std::fs::write(file.path(), "alone\n").unwrap();
        write(file.path(), one, &[(two, &second)]).unwrap();
        assert_eq!(read(), "alone\n");
    }
}
