//! Which addresses pods get: a function of the subnet and of those that are taken.

use std::{fmt, net::Ipv4Addr, str::FromStr};

/// The longest prefix of a subnet for pods: two addresses are left besides the bridge's, the subnet's own, and that of
/// all.
const PREFIX_BITS_MAX: u8 = 29;
/// The shortest.
const PREFIX_BITS_MIN: u8 = 8;

/// The addresses of a node's pods, such as `10.244.0.0/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subnet {
    base: u32,
    bits: u8,
}

impl Subnet {
    /// That of a node that is told no other.
    pub const DEFAULT: Subnet = Subnet { base: 0x0af4_0000, bits: 24 };

    /// The subnet that an address lies in, by the length of its prefix in bits.
    pub(super) fn around(address: Ipv4Addr, bits: u8) -> Self {
        let bits = bits.min(32);
        Subnet { base: address.to_bits() & mask(bits), bits }
    }

    /// Whether an address lies in it.
    pub(super) fn contains(self, address: Ipv4Addr) -> bool {
        address.to_bits() & mask(self.bits) == self.base
    }

    /// The address of the bridge, by which pods reach all else.
    pub(super) fn gateway(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.base | 1)
    }

    /// The length of its prefix.
    pub(super) fn prefix_bits(self) -> u8 {
        self.bits
    }

    /// Its own address and its mask.
    pub(super) fn base_and_mask(self) -> ([u8; 4], [u8; 4]) {
        (self.base.to_be_bytes(), mask(self.bits).to_be_bytes())
    }

    /// An address that is free: the wanted one if it is, else the next after the last that was given out, so that an
    /// address is not soon another pod's. Nothing if all are taken.
    pub(super) fn free(
        self,
        wanted: Option<Ipv4Addr>,
        last: Option<Ipv4Addr>,
        is_taken: impl Fn(Ipv4Addr) -> bool,
    ) -> Option<Ipv4Addr> {
        let broadcast = self.base | !mask(self.bits);
        // From the second to the last but one: the first is the gateway's, the last everybody's.
        let (first, count) = (self.base + 2, broadcast - self.base - 2);
        let is_for_pods = |address: Ipv4Addr| (first..broadcast).contains(&address.to_bits());
        if let Some(wanted) = wanted.filter(|wanted| is_for_pods(*wanted) && !is_taken(*wanted)) {
            return Some(wanted);
        }
        let start = last.filter(|last| is_for_pods(*last)).map_or(0, |last| last.to_bits() - first + 1);
        let all = (0..count).map(|step| Ipv4Addr::from_bits(first + (start + step) % count));
        all.into_iter().find(|address| !is_taken(*address))
    }
}

fn mask(bits: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0)
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from_bits(self.base), self.bits)
    }
}

/// Why a text is no subnet for pods.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubnetError {
    /// It has another form.
    #[error("write an IPv4 address, a slash and the length of the prefix, such as 10.244.0.0/24")]
    Form,
    /// There would be too few addresses, or more than anybody has.
    #[error("the prefix must have {PREFIX_BITS_MIN} to {PREFIX_BITS_MAX} bits, such as 24 for 253 pods")]
    Prefix,
    /// The address has bits beyond the prefix.
    #[error("the address has bits beyond the prefix: write {0}")]
    Bits(Subnet),
}

impl FromStr for Subnet {
    type Err = SubnetError;

    fn from_str(text: &str) -> Result<Self, SubnetError> {
        let (address, bits) = text.split_once('/').ok_or(SubnetError::Form)?;
        let address: Ipv4Addr = address.parse().map_err(|_| SubnetError::Form)?;
        let bits: u8 = bits.parse().map_err(|_| SubnetError::Form)?;
        if !(PREFIX_BITS_MIN..=PREFIX_BITS_MAX).contains(&bits) {
            return Err(SubnetError::Prefix);
        }
        let subnet = Subnet::around(address, bits);
        if subnet.base == address.to_bits() { Ok(subnet) } else { Err(SubnetError::Bits(subnet)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> Ipv4Addr {
        text.parse().unwrap()
    }

    #[test]
    fn a_subnet_is_written_as_everywhere() {
        assert_eq!("10.244.0.0/24".parse(), Ok(Subnet::DEFAULT));
        assert_eq!(Subnet::DEFAULT.to_string(), "10.244.0.0/24");
        assert_eq!("10.244.0.0".parse::<Subnet>(), Err(SubnetError::Form));
        assert_eq!("fd00::/64".parse::<Subnet>(), Err(SubnetError::Form));
        assert_eq!("10.0.0.0/30".parse::<Subnet>(), Err(SubnetError::Prefix));
        let error = "10.0.0.9/24".parse::<Subnet>().unwrap_err();
        assert_eq!(error.to_string(), "the address has bits beyond the prefix: write 10.0.0.0/24");
    }

    #[test]
    fn addresses_are_given_out_in_turn_and_come_back() {
        let subnet: Subnet = "10.9.0.0/29".parse().unwrap();
        assert_eq!(subnet.gateway(), ip("10.9.0.1"));
        let mut taken = Vec::new();
        while let Some(address) = subnet.free(None, taken.last().copied(), |address| taken.contains(&address))
        {
            taken.push(address);
        }
        let all: Vec<String> = taken.iter().map(ToString::to_string).collect();
        assert_eq!(all, ["10.9.0.2", "10.9.0.3", "10.9.0.4", "10.9.0.5", "10.9.0.6"]);
        // What is free is not given out again as long as there is another.
        let free = |wanted, last: &str| {
            let is_taken = |address| address != ip("10.9.0.3") && address != ip("10.9.0.6");
            subnet.free(wanted, Some(ip(last)), is_taken)
        };
        assert_eq!(free(None, "10.9.0.3"), Some(ip("10.9.0.6")));
        assert_eq!(free(None, "10.9.0.6"), Some(ip("10.9.0.3")));
        assert_eq!(free(Some(ip("10.9.0.3")), "10.9.0.3"), Some(ip("10.9.0.3")));
        // Nobody gets the gateway's, one of another subnet, or one that is taken.
        for wanted in ["10.9.0.1", "10.9.0.7", "10.8.0.3", "10.9.0.2"] {
            assert_eq!(free(Some(ip(wanted)), "10.9.0.3"), Some(ip("10.9.0.6")), "{wanted}");
        }
    }

    #[test]
    fn subnets_that_share_addresses_are_noticed() {
        let contains = |subnet: &str, address: &str| subnet.parse::<Subnet>().unwrap().contains(ip(address));
        assert!(contains("10.244.0.0/24", "10.244.0.255"));
        assert!(!contains("10.244.0.0/24", "10.244.1.0"));
        assert!(Subnet::around(ip("10.9.8.7"), 8).contains(ip("10.244.0.1")));
        assert!(Subnet::around(ip("1.2.3.4"), 0).contains(ip("10.244.0.1")));
    }
}
