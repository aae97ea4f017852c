//! The names by which the pods of a subdomain find each other, as on a cluster those of a headless Service do: in each
//! one's `/etc/hosts`, where they are kept up to date.

use std::{
    collections::HashSet,
    fmt::Write as _,
    fs::File,
    io::{self, Read, Seek, Write as _},
    net::{IpAddr, Ipv4Addr},
    path::Path,
};

use crate::{resolve::network, spec::Peer};

/// The line before the names that are kept.
const BEGIN: &str = "# Pods of this subdomain.\n";
/// The line after them. What others have written around the two stays.
const END: &str = "# End of the pods of this subdomain.\n";

/// Where the names will be in a new file.
pub(crate) fn heading() -> String {
    format!("\n{BEGIN}{END}")
}

/// The lines for the pods of a subdomain: each by its name, by that with the subdomain, and all by the subdomain alone, as
/// far as they are written. Whose address of its own is `own` has its name and the whole one in its file already.
fn lines(own: Option<Ipv4Addr>, namespace: &str, all: &[&Peer]) -> String {
    let mut text = String::new();
    let mut told = HashSet::new();
    for Peer { hostname, subdomain, address } in all {
        let services = network::names_of(subdomain, namespace);
        let mut names: Vec<String> = services.iter().map(|service| format!("{hostname}.{service}")).collect();
        if own.map(IpAddr::V4) == Some(*address) {
            names.remove(0);
        } else {
            names.push(hostname.clone());
        }
        // Writing to a text does not fail.
        let _ = writeln!(text, "{address}\t{}", names.join("\t"));
        // In the node's network all have the same.
        if told.insert(address) {
            let _ = writeln!(text, "{address}\t{}", services.join("\t"));
        }
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
pub(super) fn write(file: &Path, own: Option<Ipv4Addr>, namespace: &str, all: &[&Peer]) -> io::Result<()> {
    let mut file = match File::options().read(true).write(true).open(file) {
        // The pod is about to be removed.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    let mut old = Vec::new();
    file.read_to_end(&mut old)?;
    let old = String::from_utf8_lossy(&old);
    let Some(new) = replaced(&old, &lines(own, namespace, all)).filter(|new| *new != old) else {
        return Ok(());
    };
    file.rewind()?;
    // At once, so that nobody reads half a line.
    file.write_all(new.as_bytes())?;
    file.set_len(new.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Ipv4Addr = Ipv4Addr::new(10, 244, 0, 2);

    fn peer(hostname: &str, address: [u8; 4]) -> Peer {
        Peer { hostname: hostname.into(), subdomain: "sub".into(), address: address.into() }
    }

    #[test]
    fn pods_of_a_subdomain_have_the_names_of_a_headless_service() {
        let (first, second) = (peer("job-0", [10, 244, 0, 2]), peer("job-1", [10, 244, 0, 3]));
        let text = lines(Some(OWN), "ns", &[&first, &second]);
        let services = "sub.ns.svc.cluster.local\tsub.ns.svc\tsub.ns\tsub";
        let others = |name: &str| {
            format!("{name}.sub.ns.svc.cluster.local\t{name}.sub.ns.svc\t{name}.sub.ns\t{name}.sub\t{name}\n")
        };
        let expected = format!(
            "10.244.0.2\tjob-0.sub.ns.svc\tjob-0.sub.ns\tjob-0.sub\n10.244.0.2\t{services}\n\
             10.244.0.3\t{}10.244.0.3\t{services}\n",
            others("job-1")
        );
        assert_eq!(text, expected);
        // In the node's network the address is the node's, whose file says nothing of any pod.
        let (first, second) = (peer("job-0", [192, 0, 2, 1]), peer("job-1", [192, 0, 2, 1]));
        let expected =
            format!("192.0.2.1\t{}192.0.2.1\t{services}\n192.0.2.1\t{}", others("job-0"), others("job-1"));
        assert_eq!(lines(None, "ns", &[&first, &second]), expected);
    }

    #[test]
    fn what_others_have_written_stays() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let read = || std::fs::read_to_string(file.path()).unwrap();
        let text = format!("127.0.0.1\tlocalhost\n{}10.0.0.9\tmine\n", heading());
        std::fs::write(file.path(), &text).unwrap();
        let (first, second) = (peer("job-0", [10, 244, 0, 2]), peer("job-1", [10, 244, 0, 3]));
        write(file.path(), Some(OWN), "ns", &[&first, &second]).unwrap();
        let all = read();
        assert!(all.starts_with("127.0.0.1\tlocalhost\n") && all.ends_with("10.0.0.9\tmine\n"), "{all}");
        assert!(all.contains("\tjob-1\n"), "{all}");
        // Those that have gone are gone, and what is shorter leaves nothing behind.
        write(file.path(), Some(OWN), "ns", &[]).unwrap();
        assert_eq!(read(), text);
        // Who removes the place does not want it.
        std::fs::write(file.path(), "alone\n").unwrap();
        write(file.path(), Some(OWN), "ns", &[&second]).unwrap();
        assert_eq!(read(), "alone\n");
    }
}
