//! Words for segments: what their typical customer is like, compared with everyone.

use std::sync::LazyLock;

use super::features::{self, FEATURES, Feature};
use crate::domain::segment::Distinction;

/// Customers below which a segment gets no words: they might point at a person.
pub(super) const CUSTOMERS_MIN: usize = 20;
/// Deviation from which a feature is worth a word, in standard deviations.
const NOTABLE: f64 = 0.4;
/// Deviation from which the word is "very".
const VERY: f64 = 1.5;
/// Words in a name, unless another segment has the same ones.
const WORDS: usize = 3;
/// Figures in a persona.
const FIGURES: usize = 4;

/// How a feature of segments reads when it is far above or below everyone's.
pub(super) struct Wording {
    pub(super) feature: &'static str,
    high: &'static str,
    low: &'static str,
    /// What it means to have no value: like the highest for the time since something that never happened, like the
    /// lowest for amounts.
    pub(super) absent_is_high: bool,
}

/// The features that segments may be made of, the most telling first. Few and robust ones keep segments stable.
pub(super) const WORDINGS: &[Wording] = &[
    Wording { feature: "purchase_recency_days", high: "lapsed", low: "recent", absent_is_high: true },
    Wording { feature: "purchases", high: "frequent", low: "occasional", absent_is_high: false },
    Wording { feature: "net_revenue", high: "high-spending", low: "low-spending", absent_is_high: false },
    Wording { feature: "refund_share", high: "refunding", low: "refund-free", absent_is_high: false },
    Wording { feature: "event_recency_days", high: "inactive", low: "active", absent_is_high: true },
    Wording { feature: "events", high: "busy", low: "quiet", absent_is_high: false },
    Wording { feature: "tenure_days", high: "long-standing", low: "new", absent_is_high: false },
    Wording { feature: "channels", high: "multi-channel", low: "single-channel", absent_is_high: false },
    Wording { feature: "support_contacts", high: "support-seeking", low: "self-reliant", absent_is_high: false },
    Wording {
        feature: "repeat_contact_share",
        high: "often repeating",
        low: "seldom repeating",
        absent_is_high: false,
    },
];

/// A segment before it has words.
pub(super) struct Group {
    pub(super) size: usize,
    pub(super) share: f64,
    /// The strongest first.
    pub(super) distinctions: Vec<Distinction>,
}

impl Group {
    /// The features in which the typical customer differs; all of them where it differs in none.
    fn telling(&self) -> impl Iterator<Item = &Distinction> {
        // As it is shown: who reads "137 days (everyone: 137 days)" doubts the rest as well.
        let differs = |distinction: &Distinction| shown(distinction).is_some_and(|(own, everyone)| own != everyone);
        let any = self.distinctions.iter().any(differs);
        self.distinctions.iter().filter(move |distinction| !any || differs(distinction))
    }
}

/// Names of a few words, each of them unique: a segment that would be called like another one gets further words, and
/// where there are none left, a number.
pub(super) fn names(groups: &[Group]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for group in groups {
        let words = words(group);
        let least = words.iter().filter(|word| word.1 >= NOTABLE).count().clamp(1, WORDS);
        let mut candidates = (least..=words.len().max(least)).map(|count| name(&words, count));
        let mut found = candidates.find(|name| !names.contains(name)).unwrap_or_else(|| name(&words, least));
        let base = found.clone();
        for number in 2.. {
            if !names.contains(&found) {
                break;
            }
            found = format!("{base} ({number})");
        }
        names.push(found);
    }
    names
}

/// Words with the strength of their deviation, the strongest first; none for a small group.
fn words(group: &Group) -> Vec<(String, f64)> {
    if group.size < CUSTOMERS_MIN {
        return Vec::new();
    }
    let word = |distinction: &Distinction| {
        let wording = WORDINGS.iter().find(|wording| wording.feature == distinction.feature)?;
        let word = if distinction.deviation > 0.0 { wording.high } else { wording.low };
        let deviation = distinction.deviation.abs();
        Some((if deviation < VERY { word.to_owned() } else { format!("very {word}") }, deviation))
    };
    group.telling().filter_map(word).collect()
}

/// The features that there are words for, in the order of [`WORDINGS`]. They are found once: to find them by their names for
/// each answer would take longer than the answer.
static WORDED: LazyLock<[Option<&'static Feature>; WORDINGS.len()]> =
    LazyLock::new(|| std::array::from_fn(|position| Some(&FEATURES[features::position(WORDINGS[position].feature)?])));

/// The feature that the words at a position of [`WORDINGS`] are about.
pub(super) fn feature_at(position: usize) -> Option<&'static Feature> {
    WORDED[position]
}

/// The first `count` words in the order of [`WORDINGS`]: two segments with the same words are to have the same name.
fn name(words: &[(String, f64)], count: usize) -> String {
    let place =
        |word: &str| WORDINGS.iter().position(|wording| word.ends_with(wording.high) || word.ends_with(wording.low));
    let mut words: Vec<&str> = words.iter().take(count).map(|word| word.0.as_str()).collect();
    words.sort_by_key(|word| place(word));
    if words.is_empty() {
        return "Small group".to_owned();
    }
    let text = format!("{} customers", words.join(", "));
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// The typical customer in figures, next to everyone's.
pub(super) fn persona(group: &Group) -> String {
    if group.size < CUSTOMERS_MIN {
        return format!("Fewer than {CUSTOMERS_MIN} customers, too few to describe.");
    }
    let figure = |distinction: &Distinction| {
        let (own, everyone) = shown(distinction)?;
        let name = lower_first(feature(distinction)?.display_name);
        Some(format!("{name} {own} (everyone: {everyone})"))
    };
    let figures: Vec<String> = group.telling().filter_map(figure).take(FIGURES).collect();
    let share = group.share * 100.0;
    format!("{} customers, {share:.0} % of all. The typical one: {}.", group.size, figures.join(", "))
}

/// The typical figure of the segment and of everyone, in words.
fn shown(distinction: &Distinction) -> Option<(String, String)> {
    let feature = feature(distinction)?;
    let [own, everyone] =
        [distinction.median, distinction.population_median].map(|median| feature.reading(Some(median), "").to_string());
    Some((own, everyone))
}

fn feature(distinction: &Distinction) -> Option<&'static Feature> {
    FEATURES.iter().find(|feature| feature.name == distinction.feature)
}

fn lower_first(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(size: usize, deviations: &[(&str, f64)]) -> Group {
        let distinction = |(feature, deviation): &(&str, f64)| Distinction {
            feature: (*feature).to_owned(),
            display_name: String::new(),
            median: 1.0,
            population_median: 2.0,
            deviation: *deviation,
        };
        Group { size, share: 0.25, distinctions: deviations.iter().map(distinction).collect() }
    }

    #[test]
    fn figures_that_look_alike_tell_nothing() {
        let mut group = group(100, &[("purchase_recency_days", -2.0), ("purchases", 1.5)]);
        (group.distinctions[0].median, group.distinctions[0].population_median) = (137.0, 137.2);
        let text = persona(&group);
        assert!(!text.contains("137") && text.contains("purchases"), "{text}");
    }

    #[test]
    fn names_say_what_stands_out_and_are_unique() {
        let recent = group(50, &[("purchase_recency_days", -1.0), ("purchases", 0.9), ("net_revenue", 0.1)]);
        let more = group(50, &[("purchase_recency_days", -1.0), ("purchases", 0.9), ("net_revenue", -0.1)]);
        let again = group(50, &[("purchase_recency_days", -1.0), ("purchases", 0.9), ("net_revenue", -0.1)]);
        assert_eq!(
            names(&[recent, more, again]),
            [
                "Recent, frequent customers",
                "Recent, frequent, low-spending customers",
                "Recent, frequent customers (2)"
            ]
        );
    }

    #[test]
    fn what_is_the_same_for_the_typical_customer_is_not_mentioned() {
        let mut same = group(50, &[("purchases", -0.9), ("net_revenue", -0.8)]);
        same.distinctions[0].population_median = 1.0;
        assert_eq!(names(std::slice::from_ref(&same)), ["Low-spending customers"]);
        assert!(!persona(&same).contains("purchases"), "{}", persona(&same));
    }

    #[test]
    fn a_small_group_gets_no_words_that_could_point_at_a_person() {
        let small = || group(19, &[("purchases", 3.0)]);
        assert_eq!(names(&[small(), small()]), ["Small group", "Small group (2)"]);
        assert_eq!(persona(&small()), "Fewer than 20 customers, too few to describe.");
    }

    #[test]
    fn every_wording_is_of_a_feature() {
        for wording in WORDINGS {
            assert!(FEATURES.iter().any(|feature| feature.name == wording.feature), "{}", wording.feature);
        }
    }

    #[test]
    fn a_persona_gives_the_segments_figure_beside_everyones() {
        let text = persona(&group(200, &[("purchase_recency_days", -1.0)]));
        assert_eq!(
            text,
            "200 customers, 25 % of all. The typical one: days since last purchase 1 day (everyone: 2 days)."
        );
    }
}
