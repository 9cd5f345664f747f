//! How maps of a profile are read: as entries one by one, whose number is believed only as far as they are there. The map's
//! own way makes room for as many as the bytes say, which may be damaged.

use litemap::LiteMap;
use serde::{Deserialize, Deserializer};

pub(super) fn read<'de, D, K, V>(deserializer: D) -> Result<LiteMap<K, V>, D::Error>
where
    D: Deserializer<'de>,
    K: Deserialize<'de> + Ord,
    V: Deserialize<'de>,
{
    let entries = Vec::<(K, V)>::deserialize(deserializer)?;
    let is_sorted = entries.is_sorted_by(|(one, _), (next, _)| one < next);
    Ok(if is_sorted { LiteMap::from_sorted_store_unchecked(entries) } else { entries.into_iter().collect() })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(serde::Serialize, Deserialize, Debug, PartialEq)]
    struct Holder(#[serde(deserialize_with = "read")] LiteMap<String, u64>);

    #[test]
    fn a_map_is_read_as_it_was_written_also_by_releases_that_wrote_trees() {
        let entries = [("web", 3), ("app", 1), ("shop", 2)].map(|(name, number)| (name.to_owned(), number));
        let holder = Holder(entries.clone().into_iter().collect());
        let tree = postcard::to_allocvec(&BTreeMap::from(entries.clone())).expect("writes");
        assert_eq!(postcard::to_allocvec(&holder).expect("writes"), tree);
        assert_eq!(postcard::from_bytes::<Holder>(&tree).expect("reads"), holder);
        let unsorted = postcard::to_allocvec(&entries.to_vec()).expect("writes");
        assert_eq!(postcard::from_bytes::<Holder>(&unsorted).expect("reads"), holder);
    }

    #[test]
    fn a_number_of_entries_that_cannot_be_is_an_error() {
        let damaged = postcard::to_allocvec(&u64::MAX).expect("writes");
        assert!(postcard::from_bytes::<Holder>(&damaged).is_err());
    }
}
