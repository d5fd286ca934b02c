//! How much the hot paths allocate: figures that no busy machine moves. `cargo test --test allocations -- --nocapture` prints them.

use std::{mem::replace, sync::Arc, time::Duration};

use allocation_counter::{AllocationInfo, measure};
use jiff::Timestamp;
use sarvam_operator::core::{
    classify::{Reply, page},
    config::{Lists, Managed, Shown, Sight},
    identity::Identity,
    line::{Action, Change, State},
    rollout::Rollout,
    status::Verdict,
    step::{Event, Memory, Mode, Object, Request, Settings, Source, Told, Uid, Version, Why, step},
    time::Time,
};
use serde_json::json;

/// A page of the list is as long as the remote allows.
const PAGE: usize = 100;

/// A line of a page is kept with its texts, an allocation each, and one now and then for a growing list.
const A_LINE: u64 = 40;

fn say(what: &str, measured: &AllocationInfo) {
    println!("{what}: {} allocations, {} bytes in all", measured.count_total, measured.bytes_total);
}

#[test]
fn an_edit_through_the_step_function_allocates_nothing() {
    let settings = Settings {
        doubt: Duration::from_secs(30),
        settle: Duration::from_secs(5),
        takeover: Duration::from_secs(40),
        retry: Duration::from_secs(1),
        retry_cap: Duration::from_mins(5),
        sync: Duration::from_mins(1),
        horizon: Duration::from_mins(1),
        stale_after: 3,
        grace: Duration::from_mins(2),
        lists: Lists::Replace,
    };
    let managed = Arc::new(Managed::default());
    let object = |version, generation, paused| Object {
        uid: Uid(1),
        version: Version(version),
        generation,
        paused,
        mode: Mode::Correct,
        config: Arc::clone(&managed),
        rollout: Rollout::default(),
        claims: false,
        edited: false,
        failed: None,
        down_since: None,
        identity: Identity::default(),
        identity_changed: false,
    };
    let mut memory = Memory::first();
    let mut tell = |event| {
        let (next, request) = step(replace(&mut memory, Memory::first()), &settings, Time(1000), event);
        memory = next;
        request
    };
    tell(Event::Noticed(object(1, 1, false), Source::List));
    let sight = Sight { state: State::Active, config: Arc::new(Shown::default()), identity: Identity::default() };
    tell(Event::Looked { began: Time(1000), answer: Ok(sight) });
    tell(Event::Told(Verdict::Synced, Told::Written(Version(2), Identity::default())));
    let mut request = None;
    let mut edit = Some(Event::Noticed(object(3, 2, true), Source::Watch));
    let measured = measure(|| request = edit.take().map(&mut tell));
    say("an edit through the step function", &measured);
    assert!(
        matches!(request, Some(Request::Send { change: Change::Status(Action::Pause), why: Why::Edit, .. })),
        "{request:?}"
    );
    assert_eq!(measured.count_total, 0);
}

#[test]
fn a_page_of_the_list_allocates_by_its_lines_and_leaves_nothing() {
    let line = |number: usize| {
        json!({
            "deployment_id": format!("dep-{number}"), "status": "active", "name": format!("Line {number}"),
            "app_id": "my-support-agent", "app_version": 3, "phone_numbers": [format!("+91806900{number:04}")],
            "channel_direction": "inbound", "created_by": "somebody", "updated_by": "somebody",
            "created_at": "2026-11-01T08:00:00Z", "updated_at": "2026-11-02T08:00:00Z",
        })
    };
    let items: Vec<_> = (0..PAGE).map(line).collect();
    let body = json!({"items": items, "total": PAGE, "limit": PAGE, "offset": 0}).to_string();
    let reply = Reply {
        status: 200,
        headers: &[],
        body: body.as_bytes(),
        read_at: Timestamp::UNIX_EPOCH,
        gives_key_away: &|_| false,
    };
    let mut rows = 0;
    let measured = measure(|| rows = page(&reply).expect("a page").lines.len());
    say(&format!("a page of {PAGE} lines"), &measured);
    assert_eq!(rows, PAGE);
    assert!(measured.count_total <= A_LINE * PAGE as u64, "{measured:?}");
    assert_eq!(measured.bytes_current, 0, "kept after the page is dropped");
}
