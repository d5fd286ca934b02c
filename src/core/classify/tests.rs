use super::*;
use crate::config::{Days, Schedule, ShownConnections, TimeOfDay};

const ACTIVE: &str = r#"{"deployment_id":"dep-1","status":"active","name":"Support line","app_id":"agent-1","app_version":7,
"connection_configs":[{"connection_id":"c-1","phone_numbers":["+912","+911"]},{"connection_id":"c-2","phone_numbers":["+911"]}],
"channel_direction":"inbound","created_by":"u","created_at":"2026-01-01T00:00:00Z","updated_at":"2026-11-23T10:00:00+05:30",
"updated_by":"asha@example.com","description":"Hindi and English","webhook_config":{"url":[1,{"x":null}]},
"inbound_config":{"start_time":"9:00","end_time":"21:00","allowed_days":["Tuesday","Monday"],"timezone":"Asia/Kolkata"}}"#;

type Headers<'a> = &'a [(&'a str, &'a [u8])];

struct Answer<'a> {
    status: u16,
    headers: Headers<'a>,
    body: &'a [u8],
}

impl Answer<'_> {
    fn reply<T>(&self, read: impl FnOnce(&Reply<'_>) -> T) -> T {
        read(&Reply {
            status: self.status,
            headers: self.headers,
            body: self.body,
            read_at: "2026-11-23T12:00:00Z".parse().unwrap(),
            gives_key_away: &|text| text.contains("hunter2"),
        })
    }

    fn line(&self, call: Call) -> Result<Remote, Fault> {
        self.reply(|reply| line(call, &Id::new("dep-1").unwrap(), reply))
    }
}

/// The answer to a call for `dep-1`, without headers.
fn answer(call: Call, status: u16, body: &str) -> Result<Remote, Fault> {
    Answer { status, headers: &[], body: body.as_bytes() }.line(call)
}

#[test]
fn a_whole_object_is_read() {
    let remote = answer(Call::Get, 200, ACTIVE).unwrap();
    assert_eq!(
        remote,
        Remote {
            deployment: Id::new("dep-1").unwrap(),
            state: State::Active,
            config: Arc::new(Shown {
                app_version: Some(7),
                name: Some("Support line".into()),
                description: Some("Hindi and English".into()),
                connections: full(&[("c-1", &["+911", "+912"]), ("c-2", &["+911"])]),
                schedule: Some(Schedule {
                    start: TimeOfDay::parse("09:00").unwrap(),
                    end: TimeOfDay::parse("21:00").unwrap(),
                    days: Days::parse(["Monday", "Tuesday"]).unwrap(),
                    timezone: "Asia/Kolkata".into(),
                }),
            }),
            app_id: Some("agent-1".into()),
            channel_direction: Some("inbound".into()),
            created_at: Some("2026-01-01T00:00:00Z".parse().unwrap()),
            updated_at: Some("2026-11-23T04:30:00Z".parse().unwrap()),
            updated_by: Some("asha@example.com".into()),
        }
    );
    assert_eq!(remote.config.phone_numbers(), ["+911", "+912"]);
    assert_eq!(remote.identity(), Identity::new(Some("agent-1"), remote.created_at));
}

fn full(connections: &[(&str, &[&str])]) -> ShownConnections {
    let owned = |(id, numbers): &(&str, &[&str])| {
        ((*id).to_owned(), numbers.iter().map(|number| (*number).to_owned()).collect::<Vec<_>>())
    };
    ShownConnections::Full(connections.iter().map(owned).collect())
}

#[test]
fn connections_are_read_as_far_as_they_can_be() {
    let row = |numbers: &[&str]| ShownConnections::Numbers(numbers.iter().map(|it| (*it).to_owned()).collect());
    let too_many = format!(r#""phone_numbers":[{}"+1"]"#, r#""+0","#.repeat(2000));
    for (fields, connections) in [
        (r#""connection_configs":[]"#, full(&[])),
        (r#""connection_configs":[],"phone_numbers":["+1"]"#, full(&[])),
        (r#""connection_configs":null,"phone_numbers":["+2",1,"+1","+2",null,"\n"]"#, row(&["+1", "+2"])),
        (r#""connection_configs":[{"connection_id":"c"},7,[],null]"#, full(&[("c", &[])])),
        (r#""connection_configs":[{"connection_id":7,"phone_numbers":["+1"]}]"#, full(&[("", &["+1"])])),
        (r#""connection_configs":[{"connection_id":"c\n","phone_numbers":"+1"}]"#, full(&[("c", &[])])),
        (
            r#""connection_configs":[{"connection_id":"c","phone_numbers":["+1"]},{"connection_id":"c","phone_numbers":["+2"]}]"#,
            full(&[("c", &["+1", "+2"])]),
        ),
        (&too_many, row(&["+0"])),
    ] {
        let body = format!(r#"{{"deployment_id":"dep-1",{fields}}}"#);
        assert_eq!(answer(Call::Get, 200, &body).unwrap().config.connections, connections, "{body}");
    }
}

#[test]
fn a_schedule_that_cannot_be_read_whole_is_none() {
    let whole = r#"{"start_time":"9:00","end_time":"21:00","allowed_days":["Monday"],"timezone":"Asia/Kolkata"}"#;
    for (what, with, readable) in [
        ("UTC", "UTC", true),
        ("21:00", "21:00:00", true),
        (r#""Monday""#, "", true),
        ("9:00", "nine", false),
        ("Monday", "Caturday", false),
        (r#""Monday""#, "1", false),
        (r#"["Monday"]"#, r#""Monday""#, false),
        ("Asia/Kolkata", " ", false),
        (r#""21:00""#, "null", false),
    ] {
        let body = format!(r#"{{"deployment_id":"dep-1","inbound_config":{}}}"#, whole.replace(what, with));
        assert_eq!(answer(Call::Get, 200, &body).unwrap().config.schedule.is_some(), readable, "{body}");
    }
}

#[test]
fn the_state_is_one_of_two_words_or_unknown() {
    for (status, state) in [
        (r#","status":"active""#, State::Active),
        (r#","status":"paused""#, State::Paused),
        ("", State::Unknown),
        (r#","status":null"#, State::Unknown),
        (r#","status":"archived""#, State::Unknown),
        (r#","status":"Paused""#, State::Unknown),
        (r#","status":" paused""#, State::Unknown),
        (r#","status":"pause""#, State::Unknown),
        (r#","status":["paused"]"#, State::Unknown),
        (r#","status":{"paused":true}"#, State::Unknown),
        (r#","status":0"#, State::Unknown),
    ] {
        let body = format!(r#"{{"deployment_id":"dep-1"{status}}}"#);
        let read = answer(Call::Get, 200, &body).map(|remote| remote.state);
        assert_eq!(read, Ok(state), "{body}");
    }
}

#[test]
fn a_version_may_have_any_sign() {
    for version in [-3, 0, 7, i64::MIN, i64::MAX] {
        let body = format!(r#"{{"deployment_id":"dep-1","app_version":{version}}}"#);
        assert_eq!(answer(Call::Get, 200, &body).map(|remote| remote.config.app_version), Ok(Some(version)));
    }
}

#[test]
fn the_first_thousand_numbers_are_kept() {
    let numbers: Vec<String> = (1000..2024).map(|number| format!("+{number}")).collect();
    let body =
        |more: &str| format!(r#"{{"deployment_id":"dep-1","phone_numbers":["{}"{more}]}}"#, numbers.join("\",\""));
    for more in ["", r#","+0""#, r#","+0","+1""#] {
        assert_eq!(
            answer(Call::Get, 200, &body(more)).map(|remote| remote.config.phone_numbers()),
            Ok(numbers.clone()),
            "{more}"
        );
    }
}

#[test]
fn a_wrong_type_in_an_optional_field_counts_as_not_told() {
    for value in [
        "null",
        "true",
        "-1.5",
        "1e300",
        "18446744073709551615",
        "[]",
        "{}",
        r#"[[1,{"a":[]}],null]"#,
        r#"{"a":{"b":[1,2]}}"#,
    ] {
        let body = format!(
            r#"{{"name":{value},"app_id":{value},"app_version":{value},"connection_configs":{value},"phone_numbers":{value},
            "channel_direction":{value},"created_at":{value},"updated_at":{value},"updated_by":{value},"brand_new":{value},"description":{value},
            "inbound_config":{value},
            "deployment_id":"dep-1","status":"paused"}}"#
        );
        let remote = answer(Call::Get, 200, &body).unwrap();
        let connections = full(&[]);
        let nothing = Remote {
            deployment: Id::new("dep-1").unwrap(),
            state: State::Paused,
            config: Arc::new(if value.starts_with('[') {
                Shown { connections, ..Shown::default() }
            } else {
                Shown::default()
            }),
            app_id: None,
            channel_direction: None,
            created_at: None,
            updated_at: None,
            updated_by: None,
        };
        assert_eq!(remote, nothing, "{body}");
    }
}

#[test]
fn a_success_that_is_not_this_line_is_unexpected_and_leaves_a_change_in_doubt() {
    let truncated = &ACTIVE[..ACTIVE.len() - 1];
    let deep = "[".repeat(100_000);
    for (status, body) in [
        (200, ""),
        (200, " "),
        (200, "null"),
        (200, "{}"),
        (200, "[]"),
        (200, r#"["dep-1","paused"]"#),
        (200, "<html><body>Sign in</body></html>"),
        (200, truncated),
        (200, r#"{"deployment_id":"dep-2","status":"paused"}"#),
        (200, r#"{"deployment_id":"DEP-1","status":"paused"}"#),
        (200, r#"{"deployment_id":"dep-1 ","status":"paused"}"#),
        (200, r#"{"deployment_id":1,"status":"paused"}"#),
        (200, r#"{"deployment_id":"dep-1","status":"active","status":"paused"}"#),
        (200, r#"{"deployment_id":"dep-1","deployment_id":"dep-1","status":"paused"}"#),
        (200, r#"{"deployment_id":"dep-1","status":"paused"} x"#),
        (200, r#"{"deployment_id":"dep-1","name":"\ud800"}"#),
        (200, r#"{"deployment_id":"dep-1","app_version":1e400}"#),
        (200, &deep),
        (100, ACTIVE),
        (101, ACTIVE),
        (202, ACTIVE),
        (204, ""),
        (206, ACTIVE),
        (301, ACTIVE),
        (302, ""),
        (304, ""),
        (308, ""),
        (600, ACTIVE),
        (999, ACTIVE),
    ] {
        for (call, landed) in [(Call::Get, Landed::No), (Call::SetStatus, Landed::Maybe), (Call::Update, Landed::Maybe)]
        {
            let fault = answer(call, status, body).unwrap_err();
            let shown: String = body.chars().take(80).collect();
            assert_eq!((fault.trouble, fault.landed), (Trouble::UnexpectedResponse, landed), "{status} {shown}");
        }
    }
}

/// Also where nobody reads.
#[test]
fn a_body_with_one_damaged_byte_is_not_whole() {
    for (damaged, body) in
        [(false, b"{\"deployment_id\":\"dep-1\",\"x\":\"y\"}"), (true, b"{\"deployment_id\":\"dep-1\",\"x\":\"\xff\"}")]
    {
        let read = Answer { status: 200, headers: &[], body }.line(Call::Get);
        assert_eq!(read.map_err(|fault| fault.trouble).err(), damaged.then_some(Trouble::UnexpectedResponse));
    }
}

#[test]
fn the_http_status_decides_then_the_code() {
    use Landed::{Maybe, No};
    use Trouble::{
        Conflict, CredentialsRejected as Rejected, NotFound, QuotaExhausted, RateLimited, Refused, Unavailable,
    };
    let key = Some(Rejection::Key);
    let permission = Some(Rejection::Permission);
    for (status, code, trouble, landed, rejection) in [
        (400, "invalid_request_error", Refused, No, None),
        (401, "", Rejected, No, key),
        (401, "authentication_error", Rejected, No, key),
        (402, "", Refused, No, None),
        (403, "", Rejected, No, key),
        (403, "invalid_api_key_error", Rejected, No, key),
        (403, "forbidden_error", Rejected, No, permission),
        (403, "rate_limit_exceeded_error", Rejected, No, permission),
        (404, "not_found_error", NotFound, No, None),
        (404, "", NotFound, No, None),
        (405, "", Refused, No, None),
        (408, "", Unavailable, Maybe, None),
        (409, "", Conflict, Maybe, None),
        (410, "", NotFound, No, None),
        (413, "", Refused, No, None),
        (418, "", Refused, No, None),
        (422, "insufficient_quota_error", Refused, No, None),
        (425, "", Unavailable, Maybe, None),
        (429, "", RateLimited, No, None),
        (429, "rate_limit_exceeded_error", RateLimited, No, None),
        (429, "insufficient_quota_error", QuotaExhausted, No, None),
        (500, "internal_server_error", Unavailable, Maybe, None),
        (502, "", Unavailable, Maybe, None),
        (503, "", Unavailable, Maybe, None),
        (503, "rate_limit_exceeded_error", RateLimited, Maybe, None),
        (504, "", Unavailable, Maybe, None),
        (599, "", Unavailable, Maybe, None),
    ] {
        let body = match code {
            "" => "<html>".to_owned(),
            code => format!(r#"{{"error":{{"message":"m","code":"{code}"}}}}"#),
        };
        let set = answer(Call::SetStatus, status, &body).unwrap_err();
        assert_eq!((set.trouble, set.landed, set.rejection), (trouble, landed, rejection), "{status} {body}");
        assert_eq!(answer(Call::Update, status, &body).unwrap_err(), set, "a change is a change: {status} {body}");
        let get = answer(Call::Get, status, &body).unwrap_err();
        assert_eq!((get.trouble, get.landed), (trouble, No), "a read changes nothing: {status} {body}");
    }
}

#[test]
fn the_remote_explains_a_refusal_in_clean_words() {
    let long = "ü".repeat(300);
    let cut = "ü".repeat(256);
    let huge = format!(r#"{{"detail":"{}"}}"#, "x ".repeat(40_000));
    for (status, body, explanation) in [
        (
            422,
            r#"{"error":{"message":"no such version","code":"unprocessable_entity_error"}}"#.to_owned(),
            Some("no such version"),
        ),
        (400, r#"{"detail":"bad action"}"#.into(), Some("bad action")),
        (
            422,
            r#"{"detail":[{"loc":["body","action"],"msg":"field required","input":"x"},{"loc":[],"msg":"b"},{"msg":3},7]}"#.into(),
            Some("body.action: field required; b"),
        ),
        (
            422,
            r#"{"detail":[{"loc":["body",0],"msg":"too\r\nlong\u0000\u001b[31m \u202eevil"}]}"#.into(),
            Some("body.0: too long [31m evil"),
        ),
        (409, r#"{"detail":"number in use"}"#.into(), Some("number in use")),
        (403, r#"{"detail":"not yours"}"#.into(), Some("not yours")),
        (404, r#"{"detail":"no line"}"#.into(), Some("no line")),
        (422, format!(r#"{{"detail":"{long}"}}"#), Some(cut.as_str())),
        (
            401,
            r#"{"detail":"key 'sk_4f9a8b7c' and aGVsbG8gd29ybGQgMTIzNDU= refused (request 0a1b2c3d-0000-4000-8000-000000000000)"}"#.into(),
            Some("key '[redacted]' and [redacted] refused (request [redacted])"),
        ),
        (401, r#"{"detail":"key hunter2 refused"}"#.into(), None),
        (401, r#"{"detail":"key \u0068unter2 refused"}"#.into(), None),
        (422, r#"{"detail":"  \n "}"#.into(), None),
        (422, r#"{"detail":{"a":1},"error":[]}"#.into(), None),
        (422, "<html>".into(), None),
        (422, huge, None),
        (429, r#"{"detail":"try again in 17 s"}"#.into(), None),
        (500, r#"{"detail":"request 17 failed"}"#.into(), None),
        (302, r#"{"detail":"over there"}"#.into(), None),
    ] {
        let ours = answer(Call::SetStatus, status, "").unwrap_err().message;
        let message = answer(Call::SetStatus, status, &body).unwrap_err().message;
        let expected = explanation.map_or(ours.clone(), |words| format!("{ours}: {words}"));
        assert_eq!(message, expected, "{status}");
    }
}

#[test]
fn what_went_wrong_is_named_by_the_status() {
    for (status, words) in [
        (302, "the remote answered with a redirect, and none is followed (HTTP 302)"),
        (399, "the remote answered with a redirect, and none is followed (HTTP 399)"),
        (600, "the remote's answer has an unexpected status (HTTP 600)"),
        (408, "the remote did not take the request (HTTP 408)"),
        (418, "the remote refused the request (HTTP 418)"),
        (502, "the remote failed (HTTP 502)"),
    ] {
        assert_eq!(answer(Call::SetStatus, status, "").unwrap_err().message, words);
    }
}

#[test]
fn an_explanation_is_64_kib_at_most() {
    let padded = |length: usize| format!(r#"{{"detail":"no"}}{}"#, " ".repeat(length - 15));
    for (length, explains) in [(15, true), (64 * 1024, true), (64 * 1024 + 1, false)] {
        let body = padded(length);
        assert_eq!(body.len(), length);
        let message = answer(Call::SetStatus, 422, &body).unwrap_err().message;
        assert_eq!(message.ends_with(": no"), explains, "{length} bytes: {message}");
    }
}

#[test]
fn texts_of_a_line_are_clean_and_keep_the_key_to_themselves() {
    let body = format!(
        r#"{{"deployment_id":"dep-1","name":"a\u0000b\n{}","app_id":"hunter2","updated_by":"key:hunter2","channel_direction":""}}"#,
        "c".repeat(1000)
    );
    let remote = answer(Call::Get, 200, &body).unwrap();
    assert_eq!(remote.config.name, Some(format!("a b {}", "c".repeat(252))));
    assert_eq!((remote.app_id, remote.updated_by, remote.channel_direction), (None, None, None));
}

#[test]
fn retry_after_is_seconds_or_a_date_within_bounds() {
    const DATE: (&str, &[u8]) = ("date", b"Sun, 06 Nov 1994 08:49:37 GMT");
    let after = |value: &'static str| ("retry-after", value.as_bytes());
    let cases: &[(Headers, Option<u64>)] = &[
        (&[], None),
        (&[after("120")], Some(120)),
        (&[after(" 30 ")], Some(30)),
        (&[after("0")], Some(1)),
        (&[after("1000000000")], Some(900)),
        (&[after("99999999999999999999999999")], Some(900)),
        (&[after("-1")], None),
        (&[after("+5")], None),
        (&[after("1.5")], None),
        (&[after("1e9")], None),
        (&[after("soon")], None),
        (&[after("")], None),
        (&[("retry-after", b"\xff30")], None),
        (&[after("30"), after("60")], Some(60)),
        (&[after("60"), after("30")], Some(60)),
        (&[after("soon"), after("30")], Some(30)),
        // Against the remote's clock, in the three forms.
        (&[DATE, after("Sun, 06 Nov 1994 08:50:37 GMT")], Some(60)),
        (&[DATE, after("Sunday, 06-Nov-94 08:50:37 GMT")], Some(60)),
        (&[DATE, after("Sun Nov  6 08:50:37 1994")], Some(60)),
        (&[DATE, after("Sun, 06 Nov 1994 08:49:37 GMT")], Some(1)),
        (&[DATE, after("Sun, 06 Nov 1994 08:00:00 GMT")], Some(1)),
        (&[DATE, after("Sat, 06 Nov 2094 08:49:37 GMT")], Some(900)),
        (&[DATE, after("Sun, 06 Nov 1994 25:00:00 GMT")], None),
        // Against ours, where the remote tells none.
        (&[after("Mon, 23 Nov 2026 12:02:00 GMT")], Some(120)),
        (&[("date", b"now"), after("Mon, 23 Nov 2026 12:02:00 GMT")], Some(120)),
    ];
    for (headers, seconds) in cases {
        let fault = Answer { status: 429, headers, body: b"" }.line(Call::Get).unwrap_err();
        assert_eq!(fault.retry_after, seconds.map(Duration::from_secs), "{headers:?}");
    }
}

#[test]
fn retry_after_counts_only_where_waiting_helps() {
    for (status, waits) in [(429, true), (503, true), (500, true), (404, false), (422, false), (302, false)] {
        let fault = Answer { status, headers: &[("retry-after", b"7")], body: b"" }.line(Call::Get).unwrap_err();
        assert_eq!(fault.retry_after.is_some(), waits, "{status}");
    }
}

fn read_page(body: &str) -> Result<Page, Fault> {
    Answer { status: 200, headers: &[], body: body.as_bytes() }.reply(page)
}

#[test]
fn a_page_counts_every_row_and_reads_those_with_an_id() {
    let page = read_page(
        r#"{"items":[{"deployment_id":"dep-1","status":"paused","phone_numbers":["+911"]},{"deployment_id":"../x"},
        {"status":"active"},null,7,"x",["dep-9"],{"deployment_id":"dep-2","name":5}],
        "total":3,"limit":100,"offset":0,"next_page_uri":null}"#,
    )
    .unwrap();
    let read: Vec<_> = page.lines.iter().map(|line| (line.deployment.as_str(), line.state)).collect();
    assert_eq!(read, [("dep-1", State::Paused), ("dep-2", State::Unknown)]);
    assert_eq!(page.lines[0].config.phone_numbers(), ["+911"]);
    assert_eq!((page.rows, page.total), (8, Some(3)));
    let untold = read_page(r#"{"items":[],"total":-1}"#).unwrap();
    assert_eq!((untold.rows, untold.total), (0, None));
}

#[test]
fn what_is_no_page_is_unexpected() {
    let too_many = format!(r#"{{"items":[0{}]}}"#, ",0".repeat(LONGEST_PAGE));
    for body in [
        "",
        "{}",
        "[]",
        r#"{"items":null}"#,
        r#"{"items":{}}"#,
        r#"{"items":[{"deployment_id":"a","deployment_id":"b"}]}"#,
        &too_many,
        ACTIVE,
    ] {
        let trouble = read_page(body).map_err(|fault| fault.trouble);
        assert_eq!(trouble, Err(Trouble::UnexpectedResponse), "{body}");
    }
}
