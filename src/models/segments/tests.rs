use super::*;
use crate::domain::event::Event;
use crate::domain::payload::ContactKind;
use crate::domain::value::Value;
use crate::models::artifact::{self, ArtifactError, Model};
use crate::models::fixture::{Customer, contact, day, id, profiles, purchase, shop, state, track};
use crate::models::tests::held::held;

/// Three sorts of customers that differ in how much and how lately they bought, `each` of them.
fn three_sorts(each: u128) -> Vec<Customer> {
    let orders = |number: u128, count: usize, start: f64, amount: f64| -> Vec<Event> {
        let jitter = (number * 7 % 10) as f64 / 10.0;
        (0..count).map(|order| purchase(start + jitter + order as f64 * 2.0, amount * (1.0 + jitter / 5.0))).collect()
    };
    (0..3 * each)
        .map(|number| {
            let timeline = match number % 3 {
                0 => orders(number, 20, 350.0, 100.0),
                1 => orders(number, 1, 10.0, 10.0),
                _ => orders(number, 4, 200.0, 30.0),
            };
            (id(number + 1), timeline)
        })
        .collect()
}

fn rows(customers: &[Customer]) -> SegmentRows {
    let mut rows = SegmentRows::new(day(400.0));
    for (id, timeline) in customers {
        rows.add(*id, &state(timeline));
    }
    rows
}

fn learn(customers: &[Customer], k: Option<usize>, previous: Option<&SegmentModel>) -> TrainedSegments {
    train(&rows(customers), &SegmentParameters { k, seed: 3, next_number: 1 }, previous, &()).expect("enough customers")
}

fn ids(trained: &TrainedSegments) -> Vec<&str> {
    trained.model.segments().iter().map(|segment| segment.id.as_str()).collect()
}

#[test]
fn the_fixture_of_segments_answers_as_it_did() {
    let customers = three_sorts(60);
    held("segments", &Model::Segments(learn(&customers, Some(3), None).model), |model| {
        let Model::Segments(model) = model else { return String::new() };
        let answer = |(_, timeline): &Customer| {
            let answer = model.predict(&state(timeline), day(400.0));
            let affinity = answer.affinities[0].affinity;
            let (segment, name, outlier) = (answer.segment_id, answer.display_name, answer.outlier);
            format!("{segment} {name} {:.9} {affinity:.9} {outlier:?}\n", answer.distance)
        };
        customers[..6].iter().map(answer).collect()
    });
}

#[test]
fn sorts_of_customers_become_stable_segments_with_different_names() {
    let customers = three_sorts(60);
    let trained = learn(&customers, Some(3), None);
    assert_eq!(ids(&trained), ["seg_1", "seg_2", "seg_3"]);
    let mut names: Vec<&str> = trained.model.segments().iter().map(|segment| segment.display_name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), 3, "{names:?}");
    for segment in trained.model.segments() {
        assert_eq!((segment.size, segment.share), (60, 1.0 / 3.0));
        assert!(segment.stability_jaccard > 0.9 && !segment.distinguishing.is_empty());
    }
    let of = |number: usize| trained.model.predict(&state(&customers[number].1), day(400.0)).segment_id;
    assert!(of(0) == of(3) && of(1) == of(4) && of(0) != of(1) && of(1) != of(2));
}

#[test]
fn a_chosen_number_of_segments_is_the_stable_one_that_tells_them_apart_best() {
    let trained = learn(&three_sorts(60), None, None);
    let Value::List(curves) = &trained.card["curves"] else { panic!("no curves") };
    assert!(curves.len() > 1);
    // Three sorts of customers are three segments, although more of them are stable too.
    assert!(trained.promote && trained.model.segments().len() == 3);
    assert!(trained.model.segments().iter().all(|segment| segment.stability_jaccard >= 0.75));
}

#[test]
fn affinities_sum_to_one_and_begin_with_the_own_segment() {
    let customers = three_sorts(60);
    let model = learn(&customers, Some(3), None).model;
    let enormous = state(&[purchase(399.0, 9e8)]);
    for state in customers.iter().take(9).map(|customer| state(&customer.1)).chain([enormous]) {
        let answer = model.predict(&state, day(400.0));
        let sum: f64 = answer.affinities.iter().map(|affinity| affinity.affinity).sum();
        assert!((sum - 1.0).abs() < 1e-9);
        assert_eq!(answer.affinities[0].segment_id, answer.segment_id);
        assert!(answer.distance.is_finite());
    }
}

#[test]
fn ids_survive_retraining_with_more_customers() {
    let before = learn(&three_sorts(60), Some(3), None);
    let after = learn(&three_sorts(80), Some(3), Some(&before.model));
    for (id, timeline) in three_sorts(60) {
        let ask = |model: &SegmentModel| model.predict(&state(&timeline), day(400.0)).segment_id;
        assert_eq!(ask(&before.model), ask(&after.model), "{id}");
    }
    assert_eq!(after.metrics["adjusted_rand_index"], Value::Number(1.0));
    assert_eq!(after.metrics["share_moved"], Value::Number(0.0));
}

#[test]
fn an_id_is_never_used_again() {
    let customers = three_sorts(60);
    let three = learn(&customers, Some(3), None);
    let two = learn(&customers, Some(2), Some(&three.model));
    let three_again = learn(&customers, Some(3), Some(&two.model));
    let gone: Vec<&str> = ids(&three).into_iter().filter(|id| !ids(&two).contains(id)).collect();
    assert!(!gone.is_empty());
    assert!(gone.iter().all(|gone| !ids(&three_again).contains(gone)), "{gone:?} came back");
}

#[test]
fn the_same_customers_and_seed_make_the_same_bytes_in_any_order() {
    let mut customers = three_sorts(60);
    let first = learn(&customers, None, None);
    customers.reverse();
    let again = learn(&customers, None, None);
    let bytes = |trained: &TrainedSegments| artifact::encode(&Model::Segments(trained.model.clone()));
    assert_eq!((bytes(&first), &first.card), (bytes(&again), &again.card));
}

#[test]
fn a_server_that_drew_other_profile_ids_learns_the_same_segments_with_the_same_card() {
    let customers = shop(300, 1);
    let learn = |first_id| {
        let mut rows = SegmentRows::new(day(400.0));
        for (profile, _) in profiles(&customers, first_id) {
            rows.add(&profile, &profile.state);
        }
        let parameters = SegmentParameters { k: None, seed: 3, next_number: 1 };
        let trained = train(&rows, &parameters, None, &()).expect("enough customers");
        (artifact::encode(&Model::Segments(trained.model)), trained.card)
    };
    assert_eq!(learn(1), learn(1 << 64 | 5_000));
}

#[test]
fn a_support_desk_without_a_purchase_has_segments_too() {
    let customers: Vec<Customer> = (0..120)
        .map(|number| {
            let calls = if number % 2 == 0 { 1 } else { 9 };
            let call = |call: u32| contact(f64::from(call) * 10.0 + number as f64 / 50.0, "phone", ContactKind::Opened);
            (id(number + 1), (0..calls).map(call).collect())
        })
        .collect();
    let trained = learn(&customers, Some(2), None);
    assert_eq!(trained.model.segments().iter().map(|segment| segment.size).collect::<Vec<_>>(), [60, 60]);
}

#[test]
fn what_cannot_be_grouped_is_refused_with_a_reason() {
    let refuse = |customers: &[Customer], k| {
        let parameters = SegmentParameters { k, seed: 3, next_number: 1 };
        let refused = train(&rows(customers), &parameters, None, &());
        assert!(matches!(refused, Err(Error::NotEnoughData(_))), "{refused:?}");
    };
    refuse(&[], None);
    refuse(&three_sorts(10), None);
    let alike: Vec<Customer> = (0..100).map(|number| (id(number), vec![track(1.0, "login")])).collect();
    refuse(&alike, None);
    refuse(&three_sorts(60), Some(21));
    let two_sorts: Vec<Customer> =
        (0..100).map(|number| (id(number), vec![purchase((number % 2) as f64 * 300.0, 5.0)])).collect();
    refuse(&two_sorts, Some(3));
}

#[test]
fn a_customer_without_an_event_is_in_no_segment() {
    let model = learn(&three_sorts(60), Some(3), None).model;
    assert_eq!(model.predict(&State::default(), day(1.0)).status, PredictionStatus::InsufficientData);
}

#[test]
fn a_customer_far_from_every_segment_is_an_outlier_and_the_card_counts_them() {
    let customers = shop(600, 1);
    let trained = learn(&customers, Some(3), None);
    let outlier = |timeline: &[Event]| trained.model.predict(&state(timeline), day(400.0)).outlier;
    let flagged = customers.iter().filter(|customer| outlier(&customer.1) == Some(true)).count();
    let Value::Map(counted) = &trained.card["outliers"] else { panic!("no outliers") };
    assert_eq!(counted["customers"], Value::Number(flagged as f64));
    assert!((2..=8).contains(&flagged), "about a hundredth of 600: {flagged}");
    assert_eq!(trained.model.predict(&State::default(), day(1.0)).outlier, None);
}

#[test]
fn a_model_of_format_2_is_read_and_knows_no_outliers() {
    let mut model = learn(&three_sorts(60), Some(3), None).model;
    model.outlier_distances.clear();
    let mut bytes = artifact::encode(&Model::Segments(model.clone()));
    // Format 2 ends before the list of bounds, which is one byte where it is empty.
    let body = bytes.split_off(18);
    let body = &body[..body.len() - 1];
    bytes.truncate(4);
    bytes.extend(2u16.to_le_bytes());
    bytes.extend(crc32c::crc32c(body).to_le_bytes());
    bytes.extend((body.len() as u64).to_le_bytes());
    bytes.extend(body);
    assert_eq!(artifact::decode(&bytes), Ok(Model::Segments(model.clone())));
    assert_eq!(model.predict(&state(&[purchase(10.0, 9e8)]), day(400.0)).outlier, None);
    model.outlier_distances = vec![1.0];
    let broken = artifact::encode(&Model::Segments(model));
    assert_eq!(artifact::decode(&broken), Err(ArtifactError::Unservable), "three segments with one bound");
}

fn level(report: &Map) -> &str {
    let Value::Text(level) = &report["level"] else { panic!("no level") };
    level
}

#[test]
fn customers_of_another_day_are_held_against_those_of_the_training() {
    let customers = three_sorts(200);
    let trained = learn(&customers, Some(3), None);
    let look = |customers: &[Customer], now: f64| {
        let mut today = SegmentsToday::new(&trained.model, &trained.card).expect("the card tells of its customers");
        customers.iter().for_each(|(_, timeline)| today.add(&state(timeline), day(now)));
        today.add(&State::default(), day(now));
        today.describe()
    };
    let same = look(&customers, 400.0);
    assert_eq!((level(&same), &same["customers"]), ("small", &Value::Number(600.0)));
    assert_eq!(same["outlier_share"], *entry(&trained.card["outliers"], "share"));
    let later = look(&customers, 800.0);
    assert_eq!(level(&later), "large", "everybody has been away for a year");
    assert_eq!(
        rows(&customers).drift_from(&trained.card).map(|report| level(&report).to_owned()),
        Some("small".into())
    );
    assert_eq!(rows(&customers).drift_from(&Map::new()), None, "a card of an earlier release");
}

fn entry<'a>(value: &'a Value, key: &str) -> &'a Value {
    let Value::Map(map) = value else { panic!("no map with {key}") };
    &map[key]
}

#[test]
fn a_card_has_a_map_and_the_silhouettes_but_no_place_of_a_small_segment() {
    let mut customers = three_sorts(100);
    customers.extend((0..5).map(|number| (id(5_000 + number), vec![purchase(399.0, 9e7 + number as f64)])));
    let trained = learn(&customers, Some(4), None);
    let Value::Map(map) = &trained.card["map"] else { panic!("no map") };
    let [x, segment] = ["x", "segment"].map(|key| match &map[key] {
        Value::List(list) => list.clone(),
        _ => panic!("no {key}"),
    });
    assert!(x.len() == segment.len() && x.len() >= 300, "{}", x.len());
    for (position, own) in trained.model.segments().iter().enumerate() {
        let places = segment.iter().filter(|of| **of == Value::Number(position as f64)).count();
        assert_eq!(places == 0, own.size < 20, "{own:?}");
    }
    let Value::List(silhouettes) = &trained.card["silhouettes"] else { panic!("no silhouettes") };
    assert_eq!(silhouettes.len(), trained.model.segments().len());
    for silhouette in silhouettes {
        let Value::List(widths) = entry(silhouette, "widths") else { panic!("no widths") };
        assert!(widths.windows(2).all(|pair| number(&pair[0]) >= number(&pair[1])));
    }
}

fn number(value: &Value) -> f64 {
    let Value::Number(number) = value else { panic!("{value:?} is no number") };
    *number
}
