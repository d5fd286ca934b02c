//! What another line under the same id does.

use super::*;

/// The line that the object adopted, and the one that has come in: paused and active, as asked and not.
fn adopted() -> Sight {
    sight(State::Paused, "support-agent")
}

fn other() -> Sight {
    sight(State::Active, "sales-agent")
}

fn sight(state: State, app_id: &str) -> Sight {
    let created_at = "2026-11-25T10:00:00Z".parse().ok();
    Sight { state, config: Arc::default(), identity: Identity::new(Some(app_id), created_at) }
}

/// Tells nothing of which line it is.
fn untold() -> Sight {
    Sight { identity: Identity::default(), ..other() }
}

/// How it comes to be known that the line is another.
#[derive(Clone, Copy, Debug)]
enum Way {
    Look,
    Row,
    Answer,
    Status,
}

/// What may come then.
#[derive(Clone, Copy, Debug)]
enum News {
    Edit,
    Look(fn() -> Sight),
    NoLook(Trouble),
    Row(fn() -> Sight),
    NoRow,
    Panic,
    Obstacle,
    Told,
}

const NEWS: [News; 12] = [
    News::Edit,
    News::Look(other),
    News::Look(untold),
    News::NoLook(Trouble::NotFound),
    News::NoLook(Trouble::Unavailable),
    News::Row(other),
    News::Row(adopted),
    News::Row(untold),
    News::NoRow,
    News::Panic,
    News::Obstacle,
    News::Told,
];

/// The line of an object that asks for *paused* at first, and has adopted it.
struct Line {
    memory: Memory,
    request: Request,
    object: Object,
    now: Time,
}

impl Line {
    /// A new leader has read the object.
    fn read(identity_changed: bool) -> Self {
        let object = Object { claims: !identity_changed, identity: adopted().identity, identity_changed, ..object() };
        let memory = Memory::inherited(&SETTINGS, START);
        let mut line = Self { memory, request: Request::Wait(Time::NEVER), object: object.clone(), now: START };
        line.on(Event::Noticed(object, Source::List));
        line
    }

    /// The same, which is Ready, until it is known that another line has come in.
    fn replaced(way: Way) -> Self {
        let mut line = Self::read(matches!(way, Way::Status));
        if !matches!(way, Way::Status) {
            line.look(adopted());
            line.tell();
        }
        match way {
            Way::Look => line.look(other()),
            Way::Row => line.row(Some(other())),
            Way::Answer => {
                line.edit();
                assert!(matches!(line.request, Request::Send { .. }), "{:?}", line.request);
                line.on(Event::Sent(Sent::Clean(other().identity), None));
                assert_eq!(line.request, Request::Look);
            }
            Way::Status => {}
        }
        assert!(line.memory.identity_changed(), "{way:?}");
        line
    }

    fn on(&mut self, event: Event) {
        self.now = at(self.now, 1);
        (self.memory, self.request) = step(self.memory.clone(), &SETTINGS, self.now, event);
        // An answer brings what the controller asks for, of the object at least.
        if self.request == Request::Read {
            self.on(Event::Read(self.object.clone()));
        }
    }

    fn edit(&mut self) {
        self.object.version.0 += 1;
        self.object.generation += 1;
        self.object.paused = !self.object.paused;
        self.object.claims = false;
        self.on(Event::Noticed(self.object.clone(), Source::Watch));
    }

    fn look(&mut self, sight: Sight) {
        self.on(Event::Looked { began: self.now, answer: Ok(sight) });
    }

    fn row(&mut self, row: Option<Sight>) {
        self.on(Event::Listed { began: self.now, row });
    }

    /// Writes what is to be told, and returns it.
    fn tell(&mut self) -> Option<Verdict> {
        let Request::Tell(verdict) = self.request else { return None };
        self.object.version.0 += 1;
        self.object.claims = verdict.claims();
        self.object.identity_changed = verdict == Verdict::IdentityChanged;
        self.on(Event::Told(verdict, Told::Written(self.object.version, self.object.identity)));
        Some(verdict)
    }

    fn hear(&mut self, news: News) {
        match news {
            News::Edit => self.edit(),
            News::Look(sight) => self.look(sight()),
            News::NoLook(trouble) => self.on(Event::Looked { began: self.now, answer: Err((trouble, None)) }),
            News::Row(sight) => self.row(Some(sight())),
            News::NoRow => self.row(None),
            News::Panic => self.on(Event::Interrupted),
            News::Obstacle => {
                self.on(Event::Hindered(Some(Obstacle::SecretNotFound)));
                self.on(Event::Hindered(None));
            }
            News::Told => drop(self.tell()),
        }
    }
}

#[test]
fn another_line_is_told_and_let_be() {
    for way in [Way::Look, Way::Row, Way::Answer, Way::Status] {
        let mut line = Line::replaced(way);
        if line.request == Request::Look {
            line.look(other());
        }
        assert_eq!(line.tell(), Some(Verdict::IdentityChanged), "{way:?}");
        assert!(matches!(line.request, Request::Wait(_)) && line.memory.rests(), "{way:?}: {:?}", line.request);
        // A row that shows it as it is costs nothing; one that shows the adopted line is a reason for a look.
        line.row(Some(other()));
        assert!(matches!(line.request, Request::Wait(_)), "{way:?}: {:?}", line.request);
        line.row(Some(adopted()));
        assert_eq!(line.request, Request::Look, "{way:?}");
        line.now = CERTAIN;
        line.look(adopted());
        if matches!(way, Way::Answer) {
            // The edit asks for the contrary of what the adopted line is like.
            assert!(matches!(line.request, Request::Send { .. }), "{way:?}: {:?}", line.request);
        } else {
            assert_eq!(line.tell(), Some(Verdict::Synced), "{way:?}");
        }
    }
}

/// Whatever comes, in whatever order: no call, until a look shows the adopted line.
#[test]
fn nothing_but_a_look_at_the_adopted_line_ends_it() {
    for way in [Way::Look, Way::Row, Way::Answer, Way::Status] {
        for sequence in 0..NEWS.len().pow(4) {
            let mut line = Line::replaced(way);
            for turn in 0..4u32 {
                let news = NEWS[sequence / NEWS.len().pow(turn) % NEWS.len()];
                line.hear(news);
                assert!(!matches!(line.request, Request::Send { .. }), "by a {way:?}, then {news:?} in {sequence}");
                assert!(line.memory.identity_changed(), "by a {way:?}, then {news:?} in {sequence}");
            }
        }
    }
}

/// An object that has adopted nothing takes what is there: a new one, also where it follows one that has.
#[test]
fn an_object_made_anew_adopts_what_is_there() {
    let mut line = Line::replaced(Way::Look);
    line.tell();
    line.on(Event::Deleted(Uid(1)));
    line.object = Object {
        uid: Uid(2),
        version: Version(9),
        identity: Identity::default(),
        identity_changed: false,
        ..line.object.clone()
    };
    line.on(Event::Noticed(line.object.clone(), Source::Watch));
    assert!(matches!(line.request, Request::Send { .. }), "at once: {:?}", line.request);
    line.on(Event::Sent(Sent::Clean(other().identity), None));
    line.object.identity = other().identity;
    line.look(Sight { state: State::Paused, ..other() });
    assert_eq!(line.tell(), Some(Verdict::Awaiting));
    // And from then on it is the line that counts.
    line.look(adopted());
    assert_eq!(line.tell(), Some(Verdict::IdentityChanged));
}
