//! Sets of addresses: a million prefixes answered in well under a microsecond, in about 8 bytes each.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// One more than the number of /16 networks: the IPv4 index holds where each begins, and the end.
const V4_INDEX: usize = (1 << 16) + 1;
/// IPv6 starts are sampled once in so many, so that the first search stays within the processor's cache.
const V6_BLOCK: usize = 64;

/// An immutable set of networks, kept as sorted disjoint ranges.
///
/// An IPv4-mapped IPv6 address (`::ffff:a.b.c.d`, RFC 4291 section 2.5.5.2) is the IPv4 address that it maps, in
/// networks and in look-ups. A wider IPv6 network such as `::/0` therefore holds no IPv4 address.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IpSet {
    v4: V4Ranges,
    /// Networks of at most 64 bits, as ranges of the upper half.
    v6_wide: V6Ranges<u64>,
    /// Networks longer than 64 bits.
    v6_narrow: V6Ranges<u128>,
}

impl IpSet {
    /// Builds the set. Duplicates, overlaps and neighbours are merged; host bits are ignored.
    pub fn new(networks: impl IntoIterator<Item = IpNet>) -> Self {
        let (mut v4, mut wide, mut narrow) = (Vec::new(), Vec::new(), Vec::new());
        for network in networks {
            match network {
                IpNet::V4(net) => v4.push((net.network().to_bits(), net.broadcast().to_bits())),
                IpNet::V6(net) => {
                    let (first, last) = (net.network(), net.broadcast());
                    match (first.to_ipv4_mapped(), last.to_ipv4_mapped()) {
                        (Some(first), Some(last)) => v4.push((first.to_bits(), last.to_bits())),
                        _ if net.prefix_len() <= 64 => wide.push((upper(first), upper(last))),
                        _ => narrow.push((first.to_bits(), last.to_bits())),
                    }
                }
            }
        }
        IpSet { v4: V4Ranges::new(v4), v6_wide: V6Ranges::new(wide), v6_narrow: V6Ranges::new(narrow) }
    }

    /// Whether `ip` is in it.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        match ip {
            IpAddr::V4(ip) => self.v4.contains(ip),
            IpAddr::V6(ip) => match ip.to_ipv4_mapped() {
                Some(mapped) => self.v4.contains(mapped),
                None => self.v6_wide.contains(upper(ip)) || self.v6_narrow.contains(ip.to_bits()),
            },
        }
    }

    /// Whether no network is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.v4.starts.is_empty() && self.v6_wide.starts.is_empty() && self.v6_narrow.starts.is_empty()
    }

    /// First and last addresses of its ranges, from at most `count` ranges that lie spread over the set.
    #[must_use]
    pub fn edges(&self, count: usize) -> Vec<IpAddr> {
        let v4 = self.v4.starts.iter().zip(&self.v4.ends).map(|(start, end)| {
            (IpAddr::V4(Ipv4Addr::from_bits(*start)), IpAddr::V4(Ipv4Addr::from_bits(*end)))
        });
        let wide = self.v6_wide.starts.iter().zip(&self.v6_wide.ends).map(|(start, end)| {
            let last = (u128::from(*end) << 64) | u128::from(u64::MAX);
            (Ipv6Addr::from_bits(u128::from(*start) << 64).into(), Ipv6Addr::from_bits(last).into())
        });
        let narrow = self.v6_narrow.starts.iter().zip(&self.v6_narrow.ends).map(|(start, end)| {
            (IpAddr::V6(Ipv6Addr::from_bits(*start)), IpAddr::V6(Ipv6Addr::from_bits(*end)))
        });
        let ranges = self.v4.starts.len() + self.v6_wide.starts.len() + self.v6_narrow.starts.len();
        let step = ranges.div_ceil(count.max(1)).max(1);
        v4.chain(wide).chain(narrow).step_by(step).flat_map(|(first, last)| [first, last]).collect()
    }

    /// The heap that the set occupies, in bytes.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        size_of_val(&*self.v4.starts)
            + size_of_val(&*self.v4.ends)
            + size_of_val(&*self.v4.index)
            + self.v6_wide.heap_bytes()
            + self.v6_narrow.heap_bytes()
    }
}

impl FromIterator<IpNet> for IpSet {
    fn from_iter<I: IntoIterator<Item = IpNet>>(networks: I) -> Self {
        IpSet::new(networks)
    }
}

/// Ranges of IPv4 addresses with the position of the first range of each /16.
#[derive(Clone, Debug, Default, PartialEq)]
struct V4Ranges {
    starts: Box<[u32]>,
    ends: Box<[u32]>,
    index: Box<[u32]>,
}

impl V4Ranges {
    fn new(ranges: Vec<(u32, u32)>) -> Self {
        let (starts, ends) = merged(ranges, |end| end.checked_add(1));
        if starts.is_empty() {
            return V4Ranges::default();
        }
        let mut index = Vec::with_capacity(V4_INDEX);
        let mut position: u32 = 0;
        let mut pending = starts.iter().peekable();
        for network in 0..=u32::from(u16::MAX) {
            while pending.next_if(|start| **start >> 16 < network).is_some() {
                position = position.saturating_add(1);
            }
            index.push(position);
        }
        index.push(u32::try_from(starts.len()).unwrap_or(u32::MAX));
        V4Ranges { starts, ends, index: index.into_boxed_slice() }
    }

    fn contains(&self, ip: Ipv4Addr) -> bool {
        let bits = ip.to_bits();
        let network = (bits >> 16) as usize;
        let (Some(&first), Some(&last)) = (self.index.get(network), self.index.get(network + 1)) else {
            return false;
        };
        let (first, last) = (first as usize, last as usize);
        let Some(bucket) = self.starts.get(first..last) else { return false };
        // The range that could hold the address may begin in an earlier /16.
        let after = first + bucket.partition_point(|start| *start <= bits);
        after.checked_sub(1).and_then(|at| self.ends.get(at)).is_some_and(|end| bits <= *end)
    }
}

/// Ranges of IPv6 addresses (or their upper halves) with every [`V6_BLOCK`]th start kept apart.
#[derive(Clone, Debug, Default, PartialEq)]
struct V6Ranges<T> {
    starts: Box<[T]>,
    ends: Box<[T]>,
    samples: Box<[T]>,
}

impl<T: Copy + Ord + Successor> V6Ranges<T> {
    fn new(ranges: Vec<(T, T)>) -> Self {
        let (starts, ends) = merged(ranges, T::successor);
        let samples = starts.iter().step_by(V6_BLOCK).copied().collect();
        V6Ranges { starts, ends, samples }
    }

    fn contains(&self, bits: T) -> bool {
        let Some(block) = self.samples.partition_point(|start| *start <= bits).checked_sub(1) else {
            return false;
        };
        let first = block * V6_BLOCK;
        let last = self.starts.len().min(first + V6_BLOCK);
        let Some(bucket) = self.starts.get(first..last) else { return false };
        let after = first + bucket.partition_point(|start| *start <= bits);
        after.checked_sub(1).and_then(|at| self.ends.get(at)).is_some_and(|end| bits <= *end)
    }

    fn heap_bytes(&self) -> usize {
        size_of_val(&*self.starts) + size_of_val(&*self.ends) + size_of_val(&*self.samples)
    }
}

/// The next greater value, if there is one.
trait Successor: Sized {
    fn successor(self) -> Option<Self>;
}

impl Successor for u64 {
    fn successor(self) -> Option<Self> {
        self.checked_add(1)
    }
}

impl Successor for u128 {
    fn successor(self) -> Option<Self> {
        self.checked_add(1)
    }
}

/// Sorts ranges and joins those that overlap or touch; starts and ends come apart, since a search reads starts only.
fn merged<T: Copy + Ord>(
    mut ranges: Vec<(T, T)>,
    successor: impl Fn(T) -> Option<T>,
) -> (Box<[T]>, Box<[T]>) {
    ranges.sort_unstable();
    ranges.dedup_by(|next, kept| {
        let joins = successor(kept.1).is_none_or(|beyond| next.0 <= beyond);
        if joins {
            kept.1 = kept.1.max(next.1);
        }
        joins
    });
    (ranges.iter().map(|range| range.0).collect(), ranges.iter().map(|range| range.1).collect())
}

/// The upper 64 bits: the network half of an address.
fn upper(ip: Ipv6Addr) -> u64 {
    (ip.to_bits() >> 64) as u64
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        reason = "tests assert"
    )]
    use proptest::prelude::*;

    use super::*;

    fn set(networks: &[&str]) -> IpSet {
        networks.iter().map(|text| text.parse::<IpNet>().unwrap()).collect()
    }

    fn holds(set: &IpSet, ip: &str) -> bool {
        set.contains(ip.parse().unwrap())
    }

    #[test]
    fn edges_of_networks_are_inside() {
        let set = set(&[
            "10.0.0.0/8",
            "192.0.2.7/32",
            "0.0.0.0/32",
            "255.255.255.255/32",
            "2001:db8::/32",
            "fe80::1/128",
        ]);
        for inside in [
            "10.0.0.0",
            "10.255.255.255",
            "10.77.3.1",
            "192.0.2.7",
            "0.0.0.0",
            "255.255.255.255",
            "2001:db8::",
            "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
            "fe80::1",
        ] {
            assert!(holds(&set, inside), "{inside}");
        }
        for outside in
            ["9.255.255.255", "11.0.0.0", "192.0.2.6", "192.0.2.8", "0.0.0.1", "2001:db9::", "fe80::2", "::"]
        {
            assert!(!holds(&set, outside), "{outside}");
        }
    }

    #[test]
    fn a_mapped_address_is_the_ipv4_address() {
        let plain = set(&["203.0.113.0/24"]);
        assert!(holds(&plain, "::ffff:203.0.113.9"));
        let mapped = set(&["::ffff:203.0.113.0/120"]);
        assert!(holds(&mapped, "203.0.113.9"));
        assert!(holds(&mapped, "::ffff:203.0.113.9"));
        let all6 = set(&["::/0"]);
        assert!(!holds(&all6, "203.0.113.9"));
        assert!(!holds(&all6, "::ffff:203.0.113.9"));
        assert!(holds(&all6, "2001:db8::1"));
    }

    #[test]
    fn the_whole_space_and_nothing() {
        assert!(IpSet::default().is_empty());
        assert!(!holds(&IpSet::default(), "192.0.2.1"));
        let all = set(&["0.0.0.0/0", "::/0"]);
        assert!(!all.is_empty());
        assert!(holds(&all, "255.255.255.255") && holds(&all, "0.0.0.0"));
        assert!(holds(&all, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"));
    }

    #[test]
    fn edges_are_inside_and_bounded() {
        let set = set(&["10.0.0.0/8", "192.0.2.7/32", "2001:db8::/32", "fe80::1/128"]);
        let edges: Vec<String> = set.edges(8).iter().map(ToString::to_string).collect();
        assert_eq!(edges[..4], ["10.0.0.0", "10.255.255.255", "192.0.2.7", "192.0.2.7"]);
        assert!(set.edges(8).iter().all(|ip| set.contains(*ip)) && edges.len() == 8, "{edges:?}");
        let many = IpSet::new((0..1_000u32).map(|n| IpNet::from(IpAddr::V4(Ipv4Addr::from_bits(n * 4001)))));
        assert!(many.edges(3).len() <= 6 && many.edges(3).iter().all(|ip| many.contains(*ip)));
        assert!(IpSet::default().edges(3).is_empty());
    }

    #[test]
    fn equal_sets_compare_equal_however_they_were_written() {
        assert_eq!(set(&["10.0.0.0/9", "10.128.0.0/9", "10.1.2.3/32"]), set(&["10.0.0.0/8"]));
    }

    #[test]
    fn a_million_prefixes_stay_small() {
        // Every second /32 cannot be merged: the worst case.
        let set =
            IpSet::new((0..1_000_000u32).map(|n| IpNet::from(IpAddr::V4(Ipv4Addr::from_bits(n * 4001)))));
        assert!(set.heap_bytes() < 9 << 20, "{}", set.heap_bytes());
        assert!(holds(&set, "0.0.15.161") && !holds(&set, "0.0.15.162"));
    }

    fn network() -> impl Strategy<Value = IpNet> {
        // Few distinct bits, so that networks overlap, touch and hit the look-ups below.
        let v4 = (any::<[u8; 4]>(), 0u8..=32).prop_map(|(octets, len)| {
            let bits = u32::from_be_bytes(octets.map(|octet| octet & 0b1000_0011));
            IpNet::new(IpAddr::V4(Ipv4Addr::from_bits(bits)), len).unwrap()
        });
        let v6 = (any::<[u8; 16]>(), 0u8..=128).prop_map(|(octets, len)| {
            let bits = u128::from_be_bytes(octets.map(|octet| octet & 0b1000_0001));
            IpNet::new(IpAddr::V6(Ipv6Addr::from_bits(bits)), len).unwrap()
        });
        prop_oneof![v4, v6]
    }

    proptest! {
        #[test]
        fn agrees_with_asking_each_network(networks in prop::collection::vec(network(), 0..40), extra in any::<u32>()) {
            let set = IpSet::new(networks.iter().copied());
            let mut asked = vec![IpAddr::V4(Ipv4Addr::from_bits(extra))];
            for net in &networks {
                for edge in [net.network(), net.broadcast()] {
                    asked.push(edge);
                    match edge {
                        IpAddr::V4(ip) => {
                            asked.push(IpAddr::V4(Ipv4Addr::from_bits(ip.to_bits().wrapping_add(1))));
                            asked.push(IpAddr::V4(Ipv4Addr::from_bits(ip.to_bits().wrapping_sub(1))));
                        }
                        IpAddr::V6(ip) => {
                            asked.push(IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits().wrapping_add(1))));
                            asked.push(IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits().wrapping_sub(1))));
                        }
                    }
                }
            }
            for ip in asked.into_iter().map(|ip| ip.to_canonical()) {
                prop_assert_eq!(set.contains(ip), networks.iter().any(|net| net.contains(&ip)), "{}", ip);
            }
        }
    }
}
