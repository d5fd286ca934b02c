//! Why a call is made, and what that entitles it to.

/// How many calls with one key are in flight at most.
pub const MAX_IN_FLIGHT: usize = 8;

/// Why a call is made, the most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Somebody has just said that a line shall be silent.
    Pause,
    /// The same, after a try that failed.
    PauseRetry,
    /// Somebody has just said that a line shall answer.
    Resume,
    /// The same, after a try that failed.
    ResumeRetry,
    /// A look that an edit waits for after a try that failed. It goes first, since the line may well be wrong, and the next try
    /// can't go before it.
    RetryLook,
    /// A look that an edit waits for: what there is to do, or what came of it.
    EditLook,
    /// One step of a change of a line's configuration.
    Rollout,
    /// A line is not what it shall be.
    Correction,
    /// A look at one line.
    Look,
    /// A page of the list of lines.
    Walk,
    /// A read for a command: `plan` or `import`.
    Import,
}

impl Lane {
    /// How many there are.
    pub const COUNT: usize = 11;

    /// All of them, the most urgent first.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Pause,
        Self::PauseRetry,
        Self::Resume,
        Self::ResumeRetry,
        Self::RetryLook,
        Self::EditLook,
        Self::Rollout,
        Self::Correction,
        Self::Look,
        Self::Walk,
        Self::Import,
    ];

    /// Its name in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::PauseRetry => "pause_retry",
            Self::Resume => "resume",
            Self::ResumeRetry => "resume_retry",
            Self::RetryLook => "retry_look",
            Self::EditLook => "edit_look",
            Self::Rollout => "rollout",
            Self::Correction => "correction",
            Self::Look => "look",
            Self::Walk => "walk",
            Self::Import => "import",
        }
    }

    /// How many calls may be in flight once one of this lane has joined: the last places are kept for edits, and the very
    /// last for a pause. Not for their retries: lines whose calls hang would take them from those that are well.
    pub(super) const fn places(self) -> usize {
        match self {
            Self::Pause => MAX_IN_FLIGHT,
            Self::Resume | Self::EditLook => MAX_IN_FLIGHT - 1,
            Self::PauseRetry | Self::ResumeRetry | Self::RetryLook | Self::Rollout | Self::Correction => {
                MAX_IN_FLIGHT - 2
            }
            Self::Look | Self::Walk | Self::Import => MAX_IN_FLIGHT - 3,
        }
    }

    /// How far below empty a call of this lane may take the bucket, in bursts. However many lines are resumed, there is
    /// something left for a pause.
    pub(super) const fn overdraft(self) -> f64 {
        match self {
            Self::Pause | Self::PauseRetry => 1.0,
            Self::Resume | Self::ResumeRetry => 0.5,
            _ => 0.0,
        }
    }

    /// Whether it is of an edit that hasn't failed yet: it may find out for itself whether a remote that is down is back.
    pub(super) const fn is_fresh(self) -> bool {
        matches!(self, Self::Pause | Self::Resume | Self::EditLook)
    }
}
