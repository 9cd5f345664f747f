//! The machine's clock is ten years ahead, or behind, and is set right again.

use rapport::domain::event::{Draft, SentIdentifier};
use rapport::domain::payload::{Payload, Track};
use rapport::domain::value::Map;

use crate::block_on;
use crate::system::{Answer, System};

const TEN_YEARS_DAYS: i64 = 3_653;
/// By how much the clock is set, one after the other, each time between two commits or two starts.
const STEPS_DAYS: [i64; 8] = [
    TEN_YEARS_DAYS,
    -TEN_YEARS_DAYS,
    -TEN_YEARS_DAYS,
    TEN_YEARS_DAYS,
    2 * TEN_YEARS_DAYS,
    -TEN_YEARS_DAYS,
    -TEN_YEARS_DAYS,
    1,
];

fn draft(number: usize) -> Draft {
    Draft {
        event_id: number.to_string().into(),
        source: "till".into(),
        identifiers: vec![SentIdentifier { kind: "user_id".into(), value: format!("u{}", number % 3).into() }],
        original_time: None,
        sent_time: None,
        channel: "shop".into(),
        touchpoint: Default::default(),
        payload: Some(Payload::Track(Track { name: "step".into(), properties: Map::new() })),
    }
}

async fn is_accepted(system: &System, number: usize) -> bool {
    matches!(system.ingest(&[draft(number)]).await.as_slice(), [Answer::Accepted(_)])
}

#[test]
fn a_clock_that_is_ten_years_off_loses_nothing() {
    block_on(async {
        let mut system = System::embedded().await;
        let mut sent = 0;
        for (position, days) in STEPS_DAYS.into_iter().cycle().take(16).enumerate() {
            system.shift(days);
            if position % 2 == 1 {
                system = system.restart(position % 4 == 1).await;
            }
            for _ in 0..5 {
                assert!(is_accepted(&system, sent).await, "event {sent} after step {position}");
                sent += 1;
                system.advance();
            }
            let timelines = system.snapshot().await.timelines;
            assert_eq!(timelines.values().map(Vec::len).sum::<usize>(), sent, "after step {position}");
        }
        let before = system.snapshot().await;
        system = system.restart(true).await;
        assert_eq!(system.snapshot().await, before, "the index rebuilt from the journal is the same");
    });
}

#[test]
fn an_event_is_accepted_once_also_after_the_clock_went_ahead() {
    block_on(async {
        let system = System::embedded().await;
        let (mut clock, mut latest) = (0, 0);
        for (position, days) in STEPS_DAYS.into_iter().enumerate() {
            system.shift(days);
            assert!(is_accepted(&system, position).await, "event {position}");
            system.advance();
            (clock, latest) = (clock + days, latest.max(clock + days));
            // While the clock is behind the latest commit, what it accepts lies before the window and is not remembered.
            if clock < latest {
                continue;
            }
            let again = system.ingest(&[draft(position)]).await;
            assert!(matches!(again.as_slice(), [Answer::Duplicate(_)]), "a minute after step {position}: {again:?}");
        }
    });
}
