use super::*;
use crate::domain::event::Event;
use crate::domain::payload::ContactKind;
use crate::domain::value::Value;
use crate::models::artifact::{self, Model};
use crate::models::fixture::{Customer, contact, day, id, profiles, purchase, shop, state, track};

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
fn a_chosen_number_of_segments_is_the_largest_stable_one_and_the_curves_say_so() {
    let trained = learn(&three_sorts(60), None, None);
    let Value::List(curves) = &trained.card["curves"] else { panic!("no curves") };
    assert!(curves.len() > 1);
    assert!(trained.promote && trained.model.segments().len() >= 3);
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
