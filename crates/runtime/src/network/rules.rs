//! Rules for the packets of pods, as one table of nftables: what leaves the node has the node's address, and what comes
//! for a port of the node goes to the pod that has asked for it. The table is replaced as a whole, so that it always
//! says what is, whatever a crash left.

use std::{io, net::Ipv4Addr};

use super::{
    address::Subnet,
    netlink::{ACK, CREATE, Line, Part, Request},
};
use crate::spec::{HostPort, Protocol};

const SUBSYSTEM: u16 = 10 << 8;
const NEW_TABLE: u16 = SUBSYSTEM;
const GET_TABLE: u16 = SUBSYSTEM | 1;
const DELETE_TABLE: u16 = SUBSYSTEM | 2;
const NEW_CHAIN: u16 = SUBSYSTEM | 3;
const NEW_RULE: u16 = SUBSYSTEM | 6;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
/// Flag of a new rule: after the others.
const APPEND: u16 = 0x800;

const IPV4: u8 = 2;

/// The registers that expressions work with: the verdict, and two for values.
const VERDICT: u32 = 0;
const FIRST: u32 = 1;
const SECOND: u32 = 2;

const DROP: i32 = 0;
const JUMP: i32 = -3;

/// The chain in which ports of the node are looked up.
const PORTS: &str = "ports";

/// Where a chain is called: the kernel's number of the place, the priority, and the kind of chain.
struct Hook {
    place: u32,
    priority: i32,
    kind: &'static str,
}

const PREROUTING: u32 = 0;
const OUTPUT: u32 = 3;
const POSTROUTING: u32 = 4;

/// The priorities that upstream's tools name `raw`, `dstnat` and `srcnat`.
const RAW: i32 = -300;
const DESTINATION: i32 = -100;
const SOURCE: i32 = 100;

/// A port of the node that leads to a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Forward {
    pub(super) port: HostPort,
    pub(super) pod: Ipv4Addr,
}

/// Makes the table what it is to be.
pub(super) fn replace(table: &str, bridge: &str, subnet: Subnet, forwards: &[Forward]) -> io::Result<()> {
    Line::open(Part::Netfilter)?.batch(batch(table, bridge, subnet, forwards))
}

/// Removes the table, if it is there.
pub(super) fn remove(table: &str) -> io::Result<()> {
    let request =
        |kind, flags| Request::new(kind, flags, &[IPV4, 0, 0, 0]).text(attribute::TABLE_NAME, table);
    // Made in case it is not there, so that it can be removed in any case.
    let requests =
        vec![edge(BATCH_BEGIN), request(NEW_TABLE, CREATE), request(DELETE_TABLE, ACK), edge(BATCH_END)];
    Line::open(Part::Netfilter)?.batch(requests)
}

/// Whether there is such a table.
pub(super) fn are_there(table: &str) -> io::Result<bool> {
    let request = Request::new(GET_TABLE, ACK, &[IPV4, 0, 0, 0]).text(attribute::TABLE_NAME, table);
    match Line::open(Part::Netfilter)?.ask(request) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        found => found.map(|()| true),
    }
}

fn batch(table: &str, bridge: &str, subnet: Subnet, forwards: &[Forward]) -> Vec<Request> {
    let mut requests = vec![edge(BATCH_BEGIN)];
    let table_request =
        |kind, flags| Request::new(kind, flags, &[IPV4, 0, 0, 0]).text(attribute::TABLE_NAME, table);
    // Made in case it is not there, so that it can be removed in any case.
    requests.push(table_request(NEW_TABLE, CREATE));
    requests.push(table_request(DELETE_TABLE, 0));
    requests.push(table_request(NEW_TABLE, CREATE));
    let chains = [
        (PORTS, None),
        ("guard", Some(Hook { place: PREROUTING, priority: RAW, kind: "filter" })),
        ("prerouting", Some(Hook { place: PREROUTING, priority: DESTINATION, kind: "nat" })),
        ("output", Some(Hook { place: OUTPUT, priority: DESTINATION, kind: "nat" })),
        ("postrouting", Some(Hook { place: POSTROUTING, priority: SOURCE, kind: "nat" })),
    ];
    requests.extend(chains.iter().map(|(name, hook)| chain(table, name, hook.as_ref())));
    let mut rule =
        |chain: &str, expressions: Vec<Expression>| requests.push(rule(table, chain, &expressions));
    // Pods reach no service of the node that listens on loopback alone, although the kernel is told to let answers
    // from there pass.
    rule("guard", [interface(Way::In, bridge, true), to_loopback(), vec![verdict(DROP, None)]].concat());
    rule("prerouting", vec![to_this_node(), local(), verdict(JUMP, Some(PORTS))]);
    rule("output", vec![to_this_node(), local(), verdict(JUMP, Some(PORTS))]);
    rule("postrouting", [from(subnet), interface(Way::Out, bridge, false), vec![masquerade()]].concat());
    // What a pod or the node itself sends to a port of the node comes back to who was asked.
    rule("postrouting", [from(subnet), interface(Way::Out, bridge, true), redirected()].concat());
    rule("postrouting", [from_loopback(), interface(Way::Out, bridge, true), vec![masquerade()]].concat());
    for forward in forwards {
        rule(PORTS, forward_rule(*forward));
    }
    // The last of what is done is what is waited for.
    let last = requests.pop().map(|last| last.flagged(ACK));
    requests.extend(last);
    requests.push(edge(BATCH_END));
    requests
}

fn edge(kind: u16) -> Request {
    let mut body = vec![0, 0];
    body.extend_from_slice(&(SUBSYSTEM >> 8).to_be_bytes());
    Request::new(kind, 0, &body)
}

fn chain(table: &str, name: &str, hook: Option<&Hook>) -> Request {
    let request = Request::new(NEW_CHAIN, CREATE, &[IPV4, 0, 0, 0])
        .text(attribute::CHAIN_TABLE, table)
        .text(attribute::CHAIN_NAME, name);
    let Some(Hook { place, priority, kind }) = hook else { return request };
    request.text(attribute::CHAIN_TYPE, kind).nested(attribute::CHAIN_HOOK, |hook| {
        hook.attribute(1, &place.to_be_bytes()).attribute(2, &priority.to_be_bytes())
    })
}

fn rule(table: &str, chain: &str, expressions: &[Expression]) -> Request {
    Request::new(NEW_RULE, CREATE | APPEND, &[IPV4, 0, 0, 0])
        .text(attribute::RULE_TABLE, table)
        .text(attribute::RULE_CHAIN, chain)
        .nested(attribute::RULE_EXPRESSIONS, |list| {
            expressions.iter().fold(list, |list, expression| {
                list.nested(attribute::LIST_ELEMENT, |element| {
                    element
                        .text(attribute::EXPRESSION_NAME, expression.name)
                        .nested(attribute::EXPRESSION_DATA, |data| expression.write(data))
                })
            })
        })
}

/// Types of attributes, as `linux/netfilter/nf_tables.h` numbers them.
mod attribute {
    pub(super) const TABLE_NAME: u16 = 1;
    pub(super) const CHAIN_TABLE: u16 = 1;
    pub(super) const CHAIN_NAME: u16 = 3;
    pub(super) const CHAIN_HOOK: u16 = 4;
    pub(super) const CHAIN_TYPE: u16 = 7;
    pub(super) const RULE_TABLE: u16 = 1;
    pub(super) const RULE_CHAIN: u16 = 2;
    pub(super) const RULE_EXPRESSIONS: u16 = 4;
    pub(super) const LIST_ELEMENT: u16 = 1;
    pub(super) const EXPRESSION_NAME: u16 = 1;
    pub(super) const EXPRESSION_DATA: u16 = 2;
}

/// One step of a rule: what it is called, and its attributes.
#[derive(Clone, Debug)]
struct Expression {
    name: &'static str,
    fields: Vec<(u16, Field)>,
}

#[derive(Clone, Debug)]
enum Field {
    /// Such as a register or a key, most significant byte first.
    Number(u32),
    /// A value that packets are compared with, or that is loaded.
    Value(Vec<u8>),
    /// What becomes of a packet.
    Verdict(i32, Option<&'static str>),
}

impl Expression {
    fn write(&self, data: Request) -> Request {
        self.fields.iter().fold(data, |data, (kind, field)| match field {
            Field::Number(number) => data.attribute(*kind, &number.to_be_bytes()),
            Field::Value(value) => data.nested(*kind, |data| data.attribute(1, value)),
            Field::Verdict(code, chain) => data.nested(*kind, |data| {
                data.nested(2, |verdict| {
                    let verdict = verdict.attribute(1, &code.to_be_bytes());
                    chain.iter().fold(verdict, |verdict, chain| verdict.text(2, chain))
                })
            }),
        })
    }
}

fn expression(name: &'static str, fields: Vec<(u16, Field)>) -> Expression {
    Expression { name, fields }
}

/// Whether what was loaded is a value, or is not.
fn compare(value: Vec<u8>, is_equal: bool) -> Expression {
    let operation = u32::from(!is_equal);
    expression(
        "cmp",
        vec![(1, Field::Number(FIRST)), (2, Field::Number(operation)), (3, Field::Value(value))],
    )
}

/// Lets only some bits of what was loaded stand.
fn masked(mask: Vec<u8>) -> Expression {
    let length = u32::try_from(mask.len()).unwrap_or(0);
    let zero = vec![0; mask.len()];
    let fields = vec![
        (1, Field::Number(FIRST)),
        (2, Field::Number(FIRST)),
        (3, Field::Number(length)),
        (4, Field::Value(mask)),
        (5, Field::Value(zero)),
    ];
    expression("bitwise", fields)
}

/// Loads a part of the packet: 1 is the header of the network, 2 that of the transport.
fn payload(header: u32, offset: u32, length: u32) -> Expression {
    let numbers = [FIRST, header, offset, length].map(Field::Number);
    expression("payload", (1..).zip(numbers).collect())
}

/// Loads something known of a packet.
fn meta(key: u32) -> Expression {
    expression("meta", vec![(1, Field::Number(FIRST)), (2, Field::Number(key))])
}

#[derive(Clone, Copy)]
enum Way {
    In,
    Out,
}

/// The interface that a packet came in by, or goes out by.
fn interface(way: Way, name: &str, is_equal: bool) -> Vec<Expression> {
    let key = match way {
        Way::In => 6,
        Way::Out => 7,
    };
    let mut value = name.as_bytes().to_vec();
    value.resize(libc::IFNAMSIZ, 0);
    vec![meta(key), compare(value, is_equal)]
}

fn source() -> Expression {
    payload(1, 12, 4)
}

fn destination() -> Expression {
    payload(1, 16, 4)
}

fn from(subnet: Subnet) -> Vec<Expression> {
    let (base, mask) = subnet.base_and_mask();
    vec![source(), masked(mask.to_vec()), compare(base.to_vec(), true)]
}

const LOOPBACK: [u8; 4] = [127, 0, 0, 0];
const LOOPBACK_MASK: [u8; 4] = [255, 0, 0, 0];

fn from_loopback() -> Vec<Expression> {
    vec![source(), masked(LOOPBACK_MASK.to_vec()), compare(LOOPBACK.to_vec(), true)]
}

fn to_loopback() -> Vec<Expression> {
    vec![destination(), masked(LOOPBACK_MASK.to_vec()), compare(LOOPBACK.to_vec(), true)]
}

/// Loads what kind of address the packet is for.
fn to_this_node() -> Expression {
    const OF_DESTINATION: u32 = 2;
    const KIND_OF_ADDRESS: u32 = 3;
    let numbers = [FIRST, KIND_OF_ADDRESS, OF_DESTINATION].map(Field::Number);
    expression("fib", (1..).zip(numbers).collect())
}

/// One of this machine's own (`RTN_LOCAL`).
fn local() -> Expression {
    compare(2_u32.to_ne_bytes().to_vec(), true)
}

fn verdict(code: i32, chain: Option<&'static str>) -> Expression {
    expression("immediate", vec![(1, Field::Number(VERDICT)), (2, Field::Verdict(code, chain))])
}

/// Gives the packet the address of the interface that it goes out by.
fn masquerade() -> Expression {
    expression("masq", Vec::new())
}

/// Masquerades what a rule of [`PORTS`] has redirected.
fn redirected() -> Vec<Expression> {
    const STATUS: u32 = 2;
    const REDIRECTED: u32 = 1 << 5;
    let status = expression("ct", vec![(1, Field::Number(FIRST)), (2, Field::Number(STATUS))]);
    let mask = REDIRECTED.to_ne_bytes().to_vec();
    vec![status, masked(mask), compare(vec![0; 4], false), masquerade()]
}

fn forward_rule(forward: Forward) -> Vec<Expression> {
    const PROTOCOL: u32 = 16;
    const DESTINATION_NAT: u32 = 1;
    let HostPort { protocol, host_ip, host_port, port } = forward.port;
    let number = match protocol {
        Protocol::Tcp => 6,
        Protocol::Udp => 17,
        Protocol::Sctp => 132,
    };
    let mut steps = vec![meta(PROTOCOL), compare(vec![number], true)];
    if let Some(address) = host_ip {
        steps.extend([destination(), compare(address.octets().to_vec(), true)]);
    }
    steps.extend([payload(2, 2, 2), compare(host_port.to_be_bytes().to_vec(), true)]);
    let load = |register, value| {
        expression("immediate", vec![(1, Field::Number(register)), (2, Field::Value(value))])
    };
    steps.push(load(FIRST, forward.pod.octets().to_vec()));
    steps.push(load(SECOND, port.to_be_bytes().to_vec()));
    let numbers = [DESTINATION_NAT, u32::from(IPV4), FIRST, FIRST, SECOND, SECOND].map(Field::Number);
    steps.push(expression("nat", (1..).zip(numbers).collect()));
    steps
}
