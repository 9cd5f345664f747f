//! How many connections each address holds, so that one cannot take all that there are.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// The connections of all addresses.
#[derive(Clone, Default)]
pub(super) struct Peers(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// A connection's place among those of its address; it is free again when this is dropped.
pub(super) struct Seat {
    peers: Peers,
    address: IpAddr,
}

impl Peers {
    /// A place for one more connection of an address, unless it has as many as it may.
    pub(super) fn seat(&self, address: IpAddr, limit: usize) -> Option<Seat> {
        let address = network(address);
        let mut seats = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = seats.entry(address).or_default();
        if *taken >= limit {
            return None;
        }
        *taken += 1;
        Some(Seat { peers: self.clone(), address })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = self.peers.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(taken) = seats.get_mut(&self.address) {
            *taken -= 1;
            if *taken == 0 {
                seats.remove(&self.address);
            }
        }
    }
}

/// Whoever has one address of IPv6 has 2⁶⁴ of them.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_so_many_places_and_a_network_of_ipv6_no_more() {
        let peers = Peers::default();
        let seat = |address: &str| peers.seat(address.parse().expect("an address"), 1);
        let first = seat("10.0.0.1").expect("free");
        assert!(seat("10.0.0.1").is_none() && seat("::ffff:10.0.0.1").is_none() && seat("10.0.0.2").is_some());
        drop(first);
        let _again = seat("10.0.0.1").expect("free again");
        let _one = seat("2001:db8::1").expect("free");
        assert!(seat("2001:db8::ffff").is_none() && seat("2001:db8:0:1::1").is_some());
        assert_eq!(peers.0.lock().expect("whole").len(), 2, "what is free is forgotten");
    }
}
