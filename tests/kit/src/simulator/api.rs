//! The API's own answers: what each call replies, and what it changes.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use serde_json::{Value, json};

use super::call::{Call, Route};
use super::limits::{self, Broken, Page, Patch, SortBy};
use super::line::{ConnectionConfig, Line, LineState};
use super::reply::Reply;
use super::state::{Change, State};
use super::switches::{Answer, PageUri, RetryAfter, ShownStatus, Switches};

/// What a call replies and what it does. Deciding changes nothing but the rate limit's tokens.
pub(super) struct Decision {
    pub reply: Reply,
    pub effect: Option<Effect>,
}

/// A change on its way to a line.
#[derive(Clone)]
pub(super) struct Effect {
    pub change: Change,
    pub line: String,
    pub by: String,
}

impl Effect {
    /// What is left of an update when only these fields are done, in the remote's words; of another change nothing.
    pub(super) fn only(self, fields: &[&str]) -> Option<Self> {
        let Change::Update(patch) = self.change else { return None };
        Some(Self { change: Change::Update(patch.only(fields)?), ..self })
    }
}

impl From<Reply> for Decision {
    fn from(reply: Reply) -> Self {
        Self { reply, effect: None }
    }
}

/// Answers a call by the API's rules and the switches. `root` is the scheme and host for absolute links.
pub(super) fn decide(state: &mut State, call: &Call, root: &str) -> Decision {
    let Some(key) = state.valid_key(call) else {
        let switches = &state.switches;
        let code = "invalid_api_key_error";
        return Reply::error(switches, switches.bad_key, code, "Invalid or missing API key").into();
    };
    if let Err(wait) = state.take_token() {
        return too_many(state, wait).into();
    }
    let asked = Asked { state, switches: &state.switches, call, by: format!("api-key:{key}"), root };
    match call.route {
        Route::List => asked.list().into(),
        Route::Create => asked.create(),
        _ => asked.of_line(),
    }
}

/// A call with everything that its answer depends on.
struct Asked<'a> {
    state: &'a State,
    switches: &'a Switches,
    call: &'a Call,
    by: String,
    root: &'a str,
}

impl Asked<'_> {
    fn of_line(&self) -> Decision {
        let id = self.call.line.as_deref().unwrap_or_default();
        let (org, workspace) = (&self.call.org, &self.call.workspace);
        // Reads may lag; writes meet the line as it is.
        let line = if self.call.route == Route::Get {
            self.state.shown(org, workspace, id)
        } else {
            self.state.own(org, workspace, id)
        };
        match (line, self.call.route) {
            (Some(line), Route::Status) => self.status(line),
            (Some(line), Route::Update) => self.update(line),
            (Some(line), Route::Delete) => self.delete(line),
            (Some(line), _) => Reply::json(200, &self.object(line)).into(),
            (None, Route::Delete)
                if self.switches.second_delete == Answer::Accepted && self.state.ever(org, workspace, id) =>
            {
                deleted().into()
            }
            (None, _) => Reply::not_found(self.switches, &format!("Deployment {id}")).into(),
        }
    }

    fn status(&self, line: &Line) -> Decision {
        let to = match limits::action(&self.call.body, self.call.json) {
            Ok(action) => action.leads_to(),
            Err(broken) => return self.invalid(&broken),
        };
        if line.status == to && self.switches.same_state == Answer::Refused {
            return self.refused("the deployment is in that state already");
        }
        self.changed(Change::Status(to), line)
    }

    fn update(&self, line: &Line) -> Decision {
        let patch = match limits::update(&self.call.body, self.call.json, self.switches) {
            Ok(patch) => patch,
            Err(broken) => return self.invalid(&broken),
        };
        if patch.app_id.as_ref().is_some_and(|id| *id != line.app_id) {
            return self.refused("app_id can't be changed");
        }
        if line.status == LineState::Active && self.switches.update_while_active == Answer::Refused {
            return self.refused("pause the deployment before changing it");
        }
        if let Some(clash) = self.clash(&patch, Some(&line.deployment_id)) {
            return clash;
        }
        self.changed(Change::Update(patch), line)
    }

    fn delete(&self, line: &Line) -> Decision {
        if line.status == LineState::Active && self.switches.delete_while_active == Answer::Refused {
            return self.refused("pause the deployment before deleting it");
        }
        Decision { reply: deleted(), effect: Some(self.effect(Change::Delete, &line.deployment_id)) }
    }

    fn create(&self) -> Decision {
        let patch = match limits::create(&self.call.body, self.call.json, self.switches) {
            Ok(patch) => patch,
            Err(broken) => return self.invalid(&broken),
        };
        if let Some(clash) = self.clash(&patch, None) {
            return clash;
        }
        let mut line = Line::new(new_id(self.state.wall(), self.call.id));
        line.created_by.clone_from(&self.by);
        line.connection_configs.clear();
        patch.write(&mut line, self.switches);
        Decision {
            reply: Reply::json(self.switches.created, &self.object(&line)),
            effect: Some(self.effect(Change::Create(Box::new(line.clone())), &line.deployment_id)),
        }
    }

    fn list(&self) -> Reply {
        let page = match limits::page(&self.call.query) {
            Ok(page) => page,
            Err(broken) => return Reply::invalid(self.switches, &broken),
        };
        let named = |line: &&Line| {
            let name = line.name.as_deref().unwrap_or_default();
            name.to_lowercase().contains(&page.search)
        };
        let all = self.state.shown_lines(&self.call.org, &self.call.workspace);
        let mut lines: Vec<&Line> = all.filter(named).collect();
        lines.sort_by(|a, b| match page.sort_by {
            SortBy::Name => a.name.cmp(&b.name),
            SortBy::CreatedAt => a.created_at.cmp(&b.created_at),
            SortBy::UpdatedAt => a.updated_at.cmp(&b.updated_at),
        });
        if page.descending {
            lines.reverse();
        }
        let total = lines.len();
        let items: Vec<Value> =
            lines.iter().skip(page.offset).take(page.limit).map(|line| self.dressed(line.summary())).collect();
        let next = page.offset.saturating_add(page.limit);
        let previous = page.offset.saturating_sub(page.limit);
        Reply::json(
            200,
            &json!({
                "items": items,
                "total": total,
                "limit": page.limit,
                "offset": page.offset,
                "next_page_uri": (next < total).then(|| self.page_uri(&page, next)),
                "prev_page_uri": (page.offset > 0).then(|| self.page_uri(&page, previous)),
            }),
        )
    }

    fn page_uri(&self, page: &Page, offset: usize) -> String {
        let root = match self.switches.page_uri {
            PageUri::Absolute => self.root,
            PageUri::Relative => "",
        };
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("offset", &offset.to_string());
        query.append_pair("limit", &page.limit.to_string());
        for (name, value) in form_urlencoded::parse(self.call.query.as_bytes()) {
            if matches!(&*name, "sort_by" | "sort_order" | "search") {
                query.append_pair(&name, &value);
            }
        }
        let (org, workspace) = (&self.call.org, &self.call.workspace);
        let path = format!("{}/v1/orgs/{org}/workspaces/{workspace}/deployments", super::BASE_PATH);
        format!("{root}{path}?{}", query.finish())
    }

    /// The 409 for a name or number that another line of the workspace has.
    fn clash(&self, patch: &Patch, own_id: Option<&str>) -> Option<Decision> {
        let (org, workspace) = (&self.call.org, &self.call.workspace);
        let numbers = |configs: &[ConnectionConfig]| -> Vec<String> {
            configs.iter().flat_map(|config| config.phone_numbers.clone()).collect()
        };
        let wanted = patch.connection_configs.as_deref().map(numbers).unwrap_or_default();
        let others = self
            .state
            .all()
            .filter(|(o, w, line, _)| o == org && w == workspace && Some(line.deployment_id.as_str()) != own_id);
        for (_, _, other, _) in others {
            let name = patch.name.is_some() && other.name == patch.name;
            if name && self.switches.name_clash == Answer::Refused {
                return Some(self.conflict("another deployment has this name"));
            }
            let number = numbers(&other.connection_configs).iter().any(|number| wanted.contains(number));
            if number && self.switches.number_clash == Answer::Refused {
                return Some(self.conflict("another deployment has this phone number"));
            }
        }
        None
    }

    /// A reply that shows the line as it is after the change, or before it where the switches say so.
    fn changed(&self, change: Change, line: &Line) -> Decision {
        let after = change.on(Some(line), &self.by, self.switches, self.state.wall());
        let after = after.filter(|_| !self.switches.reply_shows_old_state);
        Decision {
            reply: Reply::json(200, &self.object(after.as_ref().unwrap_or(line))),
            effect: Some(self.effect(change, &line.deployment_id)),
        }
    }

    fn effect(&self, change: Change, line: &str) -> Effect {
        Effect { change, line: line.to_owned(), by: self.by.clone() }
    }

    fn invalid(&self, broken: &[Broken]) -> Decision {
        Reply::invalid(self.switches, broken).into()
    }

    fn refused(&self, message: &str) -> Decision {
        Reply::error(self.switches, 422, "unprocessable_entity_error", message).into()
    }

    fn conflict(&self, message: &str) -> Decision {
        Reply::error(self.switches, 409, "conflict_error", message).into()
    }

    fn object(&self, line: &Line) -> Value {
        self.dressed(line.object())
    }

    /// The object with its status shown as the switches say, and with fields that nobody documented.
    fn dressed(&self, mut object: Value) -> Value {
        match &self.switches.shown_status {
            ShownStatus::Plain => {}
            ShownStatus::Null => object["status"] = Value::Null,
            ShownStatus::Unknown(word) => object["status"] = json!(word),
            ShownStatus::Absent => {
                object.as_object_mut().map(|fields| fields.remove("status"));
            }
        }
        if self.switches.unknown_fields {
            object["webhook_config"] = json!({"url": "https://example.com/hook"});
            object["status_v2"] = json!({"state": "active", "paused": [true, false, null]});
        }
        object
    }
}

fn deleted() -> Reply {
    Reply::json(200, &json!({"message": "Deployment deleted"}))
}

fn too_many(state: &State, wait: Duration) -> Reply {
    let switches = &state.switches;
    let code = "rate_limit_exceeded_error";
    let mut reply = Reply::error(switches, 429, code, "Too many requests");
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    let retry_after = match switches.rate_limit.map(|limit| limit.retry_after) {
        None | Some(RetryAfter::Absent) => None,
        Some(RetryAfter::Seconds) => Some(seconds.to_string()),
        Some(RetryAfter::Date) => http_date(state.wall(), seconds + 1),
    };
    reply.headers.extend(retry_after.map(|value| ("retry-after".to_owned(), value)));
    reply
}

/// The HTTP date that many seconds after `wall`; `None` beyond the calendar.
fn http_date(wall: Timestamp, seconds: u64) -> Option<String> {
    let at = wall.checked_add(Duration::from_secs(seconds)).ok()?;
    DateTimePrinter::new().timestamp_to_rfc9110_string(&at).ok()
}

/// An id in the remote's style that no other call gets.
fn new_id(wall: Timestamp, call: u64) -> String {
    format!("dep-{:08x}{call:x}", wall.subsec_nanosecond())
}
