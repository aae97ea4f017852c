//! Interfaces, addresses and routes: the node's bridge, and the pair of interfaces that connects a pod with it.

use std::{
    fs::File,
    io,
    net::Ipv4Addr,
    os::fd::{AsFd, AsRawFd},
};

use rustix::io::Errno;

use super::{
    address::Subnet,
    netlink::{self, CREATE, DUMP, EXCLUSIVE, Line, Part, Request},
};
use crate::spec::{Attachment, Pod};

/// The pod's end of its pair of interfaces, as everywhere.
const POD_INTERFACE: &str = "eth0";

const NEW_LINK: u16 = 16;
const DELETE_LINK: u16 = 17;
const GET_LINK: u16 = 18;
const NEW_ADDRESS: u16 = 20;
const GET_ADDRESS: u16 = 22;
const NEW_ROUTE: u16 = 24;

/// Length of `struct ifinfomsg`.
const LINK_BYTES: usize = 16;
/// Length of `struct ifaddrmsg`.
const ADDRESS_BYTES: usize = 8;

const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_NET_NS_FD: u16 = 28;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const VETH_INFO_PEER: u16 = 1;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_LABEL: u16 = 3;
const RTA_GATEWAY: u16 = 5;
const RTA_OIF: u16 = 4;

const FAMILY: u8 = 2;
const UP: u32 = 1;

/// A hardware address.
pub(super) type Mac = [u8; 6];

fn step<T>(step: &str, result: io::Result<T>) -> Result<T, String> {
    result.map_err(|error| format!("cannot {step}: {error}"))
}

fn is(error: &io::Error, errno: Errno) -> bool {
    Errno::from_io_error(error) == Some(errno)
}

/// `struct ifinfomsg` of an interface; `flags` are those that are to be set.
fn link_body(index: u32, flags: u32) -> Vec<u8> {
    let mut body = vec![0; 4];
    body.extend_from_slice(&index.to_ne_bytes());
    body.extend_from_slice(&flags.to_ne_bytes());
    body.extend_from_slice(&flags.to_ne_bytes());
    body
}

/// Interfaces of one network namespace.
#[derive(Debug)]
pub(super) struct Links {
    line: Line,
}

impl Links {
    /// Those of the namespace that this thread is in, also after it has left it.
    pub(super) fn here() -> io::Result<Self> {
        Ok(Links { line: Line::open(Part::Route)? })
    }

    /// The number of an interface, if there is one of this name.
    pub(super) fn find(&mut self, name: &str) -> io::Result<Option<u32>> {
        let request = Request::new(GET_LINK, 0, &link_body(0, 0)).text(IFLA_IFNAME, name);
        let mut index = None;
        match self.line.all(request, netlink::ACK, |answer| index = index.or(index_of(answer))) {
            Err(error) if is(&error, Errno::NODEV) => Ok(None),
            Err(error) => Err(error),
            Ok(()) => Ok(index),
        }
    }

    /// Brings an interface up.
    fn up(&mut self, index: u32) -> io::Result<()> {
        self.line.ask(Request::new(NEW_LINK, 0, &link_body(index, UP)))
    }

    /// Makes a bridge, if there is none, which has the first address of a subnet; its number.
    pub(super) fn make_bridge(&mut self, name: &str, mac: Mac, subnet: Subnet) -> Result<u32, String> {
        let request = Request::new(NEW_LINK, CREATE | EXCLUSIVE, &link_body(0, 0))
            .text(IFLA_IFNAME, name)
            .attribute(IFLA_ADDRESS, &mac)
            .nested(IFLA_LINKINFO, |info| info.text(IFLA_INFO_KIND, "bridge"));
        match self.line.ask(request) {
            Err(error) if is(&error, Errno::EXIST) => {}
            made => step(&format!("make the bridge {name}"), made)?,
        }
        let index = step(&format!("find the bridge {name}"), self.find(name))?;
        let index = index.ok_or_else(|| format!("the bridge {name} has vanished"))?;
        match self.add_address(index, subnet.gateway(), subnet.prefix_bits()) {
            Err(error) if is(&error, Errno::EXIST) => {}
            added => step(&format!("give the bridge {name} its address"), added)?,
        }
        step(&format!("bring the bridge {name} up"), self.up(index))?;
        Ok(index)
    }

    fn add_address(&mut self, index: u32, address: Ipv4Addr, prefix_bits: u8) -> io::Result<()> {
        let mut body = vec![FAMILY, prefix_bits, 0, 0];
        body.extend_from_slice(&index.to_ne_bytes());
        let request = Request::new(NEW_ADDRESS, CREATE | EXCLUSIVE, &body)
            .attribute(IFA_LOCAL, &address.octets())
            .attribute(IFA_ADDRESS, &address.octets());
        self.line.ask(request)
    }

    /// An address of another interface than `own` that lies in a subnet, or whose own subnet contains it, and that
    /// interface's name.
    pub(super) fn overlap(&mut self, own: &str, subnet: Subnet) -> io::Result<Option<(String, Ipv4Addr)>> {
        let mut found = None;
        self.line.all(Request::new(GET_ADDRESS, 0, &[FAMILY, 0, 0, 0, 0, 0, 0, 0]), DUMP, |answer| {
            let (mut address, mut label) = (None, String::new());
            for (kind, value) in netlink::attributes(answer, ADDRESS_BYTES) {
                match (kind, value.first_chunk::<4>()) {
                    (IFA_LOCAL, Some(octets)) => address = Some(Ipv4Addr::from(*octets)),
                    (IFA_LABEL, _) => netlink::text(value).clone_into(&mut label),
                    _ => {}
                }
            }
            let bits = answer.get(1).copied().unwrap_or(32);
            if let Some(address) = address
                && label != own
                && (subnet.contains(address) || Subnet::around(address, bits).contains(subnet.gateway()))
            {
                found.get_or_insert((label, address));
            }
        })?;
        Ok(found)
    }

    /// The interfaces that are connected with a bridge.
    pub(super) fn of_bridge(&mut self, bridge: u32) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        self.line.all(Request::new(GET_LINK, 0, &link_body(0, 0)), DUMP, |answer| {
            let (mut name, mut is_its) = ("", false);
            for (kind, value) in netlink::attributes(answer, LINK_BYTES) {
                match kind {
                    IFLA_IFNAME => name = netlink::text(value),
                    IFLA_MASTER => is_its = value == bridge.to_ne_bytes(),
                    _ => {}
                }
            }
            if is_its {
                names.push(name.to_owned());
            }
        })?;
        Ok(names)
    }

    /// Removes an interface, and with it the one that it is paired with. That there is none is no error.
    pub(super) fn remove(&mut self, name: &str) -> io::Result<()> {
        match self.line.ask(Request::new(DELETE_LINK, 0, &link_body(0, 0)).text(IFLA_IFNAME, name)) {
            Err(error) if is(&error, Errno::NODEV) => Ok(()),
            removed => removed,
        }
    }

    /// Makes a pair of interfaces: `name` here, connected with a bridge, and the pod's in the namespace that `pod` is.
    fn make_pair(&mut self, name: &str, bridge: u32, pod: &File, mac: Mac) -> io::Result<()> {
        let pod = pod.as_fd().as_raw_fd();
        let peer = |peer: Request| {
            peer.raw(&link_body(0, 0))
                .text(IFLA_IFNAME, POD_INTERFACE)
                .attribute(IFLA_ADDRESS, &mac)
                .attribute(IFLA_NET_NS_FD, &pod.to_ne_bytes())
        };
        let request = Request::new(NEW_LINK, CREATE | EXCLUSIVE, &link_body(0, UP))
            .text(IFLA_IFNAME, name)
            .attribute(IFLA_MASTER, &bridge.to_ne_bytes())
            .nested(IFLA_LINKINFO, |info| {
                info.text(IFLA_INFO_KIND, "veth")
                    .nested(IFLA_INFO_DATA, |data| data.nested(VETH_INFO_PEER, peer))
            });
        self.line.ask(request)
    }

    /// Sends what is for nobody on the same wire to a gateway.
    fn add_default_route(&mut self, index: u32, gateway: Ipv4Addr) -> io::Result<()> {
        // `struct rtmsg`: the main table, a route that was set by hand, to everywhere, of unicast.
        let body = [FAMILY, 0, 0, 0, 254, 4, 0, 1, 0, 0, 0, 0];
        let request = Request::new(NEW_ROUTE, CREATE | EXCLUSIVE, &body)
            .attribute(RTA_GATEWAY, &gateway.octets())
            .attribute(RTA_OIF, &index.to_ne_bytes());
        self.line.ask(request)
    }
}

/// The number of the interface that an answer is about.
fn index_of(answer: &[u8]) -> Option<u32> {
    answer.get(4..)?.first_chunk().map(|index| u32::from_ne_bytes(*index))
}

/// A hardware address by the address: the same whenever that is.
pub(super) fn mac(address: Ipv4Addr) -> Mac {
    let [a, b, c, d] = address.octets();
    [0x0a, 0x58, a, b, c, d]
}

/// What connects a pod with the node's bridge, held by its shim while it goes into a network of the pod's own.
#[derive(Debug)]
pub(crate) struct Plug<'a> {
    outside: Links,
    attachment: &'a Attachment,
}

impl<'a> Plug<'a> {
    /// To be called in the node's network; nothing if the pod is not on the bridge.
    ///
    /// # Errors
    /// If the kernel cannot be spoken to.
    pub(crate) fn of(pod: &'a Pod) -> Result<Option<Self>, String> {
        let Some(attachment) = &pod.sandbox.bridge else { return Ok(None) };
        let outside = step("ask the kernel for interfaces", Links::here())?;
        Ok(Some(Plug { outside, attachment }))
    }

    /// To be called in the pod's network: gives it an interface with the pod's address, loopback, and a way out. All
    /// of it vanishes with that network.
    ///
    /// # Errors
    /// Which step the kernel refuses.
    pub(crate) fn connect(mut self) -> Result<(), String> {
        let Attachment { bridge, interface, address, gateway, prefix_bits, .. } = self.attachment;
        let index = step(&format!("find the bridge {bridge}"), self.outside.find(bridge))?;
        let index = index.ok_or_else(|| format!("the bridge {bridge} is not there"))?;
        // That of a shim before may not have vanished yet.
        step(&format!("remove the interface {interface}"), self.outside.remove(interface))?;
        let here = step("open the pod's network", File::open("/proc/self/ns/net"))?;
        let made = self.outside.make_pair(interface, index, &here, mac(*address));
        step(&format!("connect the pod with the bridge {bridge}"), made)?;
        let mut inside = step("ask the kernel for the pod's interfaces", Links::here())?;
        for name in ["lo", POD_INTERFACE] {
            let index = step(&format!("find the pod's interface {name}"), inside.find(name))?;
            let index = index.ok_or_else(|| format!("the pod's interface {name} is not there"))?;
            if name == POD_INTERFACE {
                step("give the pod its address", inside.add_address(index, *address, *prefix_bits))?;
            }
            step(&format!("bring the pod's interface {name} up"), inside.up(index))?;
            if name == POD_INTERFACE {
                step("give the pod a way out", inside.add_default_route(index, *gateway))?;
            }
        }
        Ok(())
    }
}
