//! Traces for OpenTelemetry: one for each edit, from its news to its end. None, and no cost, unless somebody says where they go.

mod exporter;
mod remote;

use std::{borrow::Cow, time::SystemTime};

use opentelemetry::{
    Context, KeyValue,
    trace::{FutureExt, Span as _, SpanKind, Status, TraceContextExt, Tracer},
};
use opentelemetry_sdk::trace::{SdkTracer, Span};
use tokio::time::Instant;

pub use self::exporter::Exporter;

/// Makes spans. Clones make them for the same receiver; the default makes none.
#[derive(Clone, Default)]
pub struct Traces(Option<SdkTracer>);

impl Traces {
    /// Begins the trace of an edit whose news came at `begun`; `None`: nobody asked for traces.
    pub fn edit(&self, begun: Instant, generation: i64, attributes: impl FnOnce() -> Vec<KeyValue>) -> Option<Edit> {
        let tracer = self.0.as_ref()?;
        let span = tracer
            .span_builder("edit")
            .with_start_time(SystemTime::now() - begun.elapsed())
            .with_attributes(attributes())
            .start_with_context(tracer, &Context::new());
        Some(Edit { root: Context::new().with_span(span), generation, outcome: Outcome::Stopped })
    }

    /// Begins a part of the edit that is [worked on](within); `None`: there is none.
    pub fn part(
        &self,
        kind: SpanKind,
        name: impl Into<Cow<'static, str>>,
        attributes: impl FnOnce() -> Vec<KeyValue>,
    ) -> Option<Part> {
        let tracer = self.0.as_ref()?;
        let edit = Context::current();
        edit.has_active_span().then(|| {
            let span = tracer.span_builder(name).with_kind(kind).with_attributes(attributes());
            Part(span.start_with_context(tracer, &edit))
        })
    }
}

/// What became of an edit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Ready=True was written for it.
    Ready,
    /// A status was written that says why the line stays otherwise.
    GivenUp,
    /// A newer edit took its place.
    Superseded,
    /// The object was deleted.
    Deleted,
    /// This process stopped, or leads no more.
    Stopped,
}

impl Outcome {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::GivenUp => "given_up",
            Self::Superseded => "superseded",
            Self::Deleted => "deleted",
            Self::Stopped => "stopped",
        }
    }
}

/// The trace of an edit. It ends with this.
pub struct Edit {
    root: Context,
    generation: i64,
    outcome: Outcome,
}

impl Edit {
    /// The object's `metadata.generation`.
    #[must_use]
    pub const fn generation(&self) -> i64 {
        self.generation
    }

    /// What [`within`] needs.
    #[must_use]
    pub fn context(&self) -> Context {
        self.root.clone()
    }

    /// Ends it.
    pub fn end(mut self, outcome: Outcome) {
        self.outcome = outcome;
    }
}

impl Drop for Edit {
    fn drop(&mut self) {
        let root = self.root.span();
        root.set_attribute(KeyValue::new("sarvam.edit.outcome", self.outcome.as_str()));
        // Also where a part still holds it.
        root.end();
    }
}

/// Does work for an edit: the parts that begin in it are parts of its trace.
pub async fn within<T>(edit: Option<Context>, work: impl Future<Output = T>) -> T {
    match edit {
        Some(edit) => work.with_context(edit).await,
        None => work.await,
    }
}

/// A part of an edit. It ends with this.
pub struct Part(Span);

impl Part {
    /// Adds what was not known at the beginning.
    pub fn tell(&mut self, attribute: KeyValue) {
        self.0.set_attribute(attribute);
    }

    /// Marks it as failed. `kind` is one of few words, `message` for a person.
    pub fn fail(&mut self, kind: impl Into<Cow<'static, str>>, message: impl Into<Cow<'static, str>>) {
        self.0.set_attribute(KeyValue::new("error.type", kind.into()));
        self.0.set_status(Status::error(message));
    }
}
