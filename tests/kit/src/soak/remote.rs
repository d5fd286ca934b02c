//! What the remote does wrong, and what its documentation leaves open.

use std::time::Duration;

use crate::random::Random;
use crate::simulator::{
    Answer, Corruption, Effect, ErrorForm, Fault, Lists, NotFoundBody, PageUri, Refusal, Route, Switches, Then,
    UpdatedAt,
};

use super::pace;
use super::spells::Nature;

/// A fault of one line's calls.
pub struct Trouble {
    /// In a few words.
    pub kind: &'static str,
    /// What it leaves behind.
    pub nature: Nature,
    effect: Effect,
    route: Route,
}

impl Trouble {
    /// Any that the simulator has. Left out is what stops a whole key for minutes, as it should: credits that are used up.
    pub fn any(random: &mut Random) -> Self {
        let refused = |status, code| Effect::Refuse(Refusal::new(status, code));
        let late = random.millis(2000);
        let apply = |after, then| Effect::Apply { after, then };
        let slow = Duration::from_millis(400);
        let kinds: [(&str, Effect); 29] = [
            ("500", refused(500, "internal_server_error")),
            ("503", refused(503, "")),
            ("408", refused(408, "")),
            ("409", refused(409, "")),
            ("404", refused(404, "not_found_error")),
            ("422", refused(422, "unprocessable_entity_error")),
            ("redirect", Effect::Redirect { status: 307, location: "/elsewhere".to_owned() }),
            ("key in the answer", Effect::EchoKey(500)),
            ("slow", Effect::Delay(random.millis(2500))),
            ("no answer", Effect::Hang),
            ("dropped", Effect::Drop),
            ("reply lost", apply(Duration::ZERO, Then::Drop)),
            ("lands late, dropped", apply(late, Then::Drop)),
            ("lands late, no answer", apply(late, Then::Hang)),
            ("lands after a clean reply", apply(random.millis(300), Then::Reply)),
            ("empty body", Effect::Corrupt(Corruption::Empty)),
            ("cut body", Effect::Corrupt(Corruption::Truncated)),
            ("HTML", Effect::Corrupt(Corruption::Html)),
            ("another line's object", Effect::Corrupt(Corruption::WrongId)),
            ("status of a wrong type", Effect::Corrupt(Corruption::WrongType)),
            ("unknown status", Effect::Corrupt(Corruption::UnknownStatus)),
            ("null status", Effect::Corrupt(Corruption::NullStatus)),
            ("2 MB", Effect::Corrupt(Corruption::Huge(2_000_000))),
            ("slow body", Effect::Corrupt(Corruption::SlowBody(slow))),
            ("slow headers", Effect::Corrupt(Corruption::SlowHeaders(slow))),
            ("garbage", Effect::Corrupt(Corruption::Garbage)),
            ("deep JSON", Effect::Corrupt(Corruption::DeepJson)),
            // Once more, for these are what the protocol is about.
            ("reply lost", apply(Duration::ZERO, Then::Drop)),
            ("lands late, dropped", apply(late, Then::Drop)),
        ];
        let (kind, effect) = random.pick(&kinds).clone();
        let nature = if ["404", "422"].contains(&kind) { Nature::Refusals } else { Nature::Calls };
        let only_status = matches!(effect, Effect::Apply { .. });
        let route = if only_status { Route::Status } else { *random.pick(&[Route::Status, Route::Get, Route::Any]) };
        Self { kind, nature, effect, route }
    }

    /// The same as a fault of this line's calls.
    pub fn of(self, line: &str) -> Fault {
        Fault::on(self.route, self.effect).line(line)
    }
}

/// The remote as its documentation allows it to be, within what the operators' windows assume.
pub fn weather(random: &mut Random, switches: &mut Switches) {
    let late = u64::try_from(pace::LATE.as_millis()).unwrap_or_default();
    let mut coin = || random.once_in(2);
    switches.same_state = if coin() { Answer::Accepted } else { Answer::Refused };
    switches.reply_shows_old_state = coin();
    switches.unknown_fields = coin();
    switches.normalise = coin();
    switches.updated_at = if coin() { UpdatedAt::Moves } else { UpdatedAt::Stays };
    switches.error_form = if coin() { ErrorForm::Sarvam } else { ErrorForm::FastApi };
    switches.lists = if coin() { Lists::Replace } else { Lists::Merge };
    switches.page_uri = if coin() { PageUri::Relative } else { PageUri::Absolute };
    switches.bad_key = if coin() { 401 } else { 403 };
    switches.not_found = *random.pick(&[NotFoundBody::LikeOthers, NotFoundBody::Empty, NotFoundBody::Html]);
    switches.apply_after = random.millis(late);
    switches.read_lag = random.millis(late);
}
