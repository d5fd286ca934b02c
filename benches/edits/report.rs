//! All figures of one run, and the page that tells them.

use std::time::Duration;

use jiff::Zoned;

use crate::{
    FEW,
    contender::Program,
    edits::Edited,
    idle::Idle,
    limited, machine, restart,
    restart::Restart,
    samples::Samples,
    table::{Table, cpu, mebibytes, millis, ratio, seconds},
};

/// What one run found.
pub struct Report {
    /// How many lines the operator had.
    pub lines: usize,
    /// From the start of the operator to its `/readyz` as the leader.
    pub starts: Samples,
    /// Each contender with its number of lines, its resident memory in KiB and its edits: the operator, the one with few lines, the floor,
    /// the peers.
    pub edited: Vec<(Program, usize, u64, Edited)>,
    /// The machine's load average when the edits began and when they ended.
    pub loads: [String; 2],
    /// What the two operators did while nothing was asked for.
    pub idle: Idle,
    /// The operator's resident memory after that, and the most that it ever was.
    pub resident_kib: u64,
    pub peak_kib: u64,
    /// A start with lines to put right.
    pub restart: Restart,
    /// Edits under a rate limit.
    pub limited: Vec<(Program, Samples)>,
}

impl Report {
    /// For a terminal.
    pub fn text(&self) -> String {
        format!("{}\n\n{}", self.circumstances(), self.table().text())
    }

    /// `docs/benchmarks.md`.
    pub fn page(&self) -> String {
        format!(
            "\
# Benchmarks

<!-- Written by `make bench`; the words are in benches/edits/report.rs. -->

How fast an edit of `spec.paused` reaches the remote and what it costs. The operator runs beside the same job in controller-runtime and in
kopf ([benches/peers](../benches/peers)), and beside a *floor*: a bare watch that sends one PUT when an edit arrives, then one guarded status
write, over kube and reqwest. All run against one real API server, each with a simulated remote and lines of its own, and are edited in
turn, one edit at a time. So the ratios are of one run; the times are of this machine.

{}

<!-- not run: it takes a quarter of an hour -->
```sh
{}
```

{}
An edit's *event* is when a bare watch of the benchmark's own gets it. *Looking* goes on all the time: each contender compares every line with
the remote once a minute. *At most* is what the project asks of itself; a cell without it is there to compare. The peers take every answer at
its word, and know one workspace, given by flags.
",
            self.circumstances(),
            machine::command(),
            self.table().markdown(),
        )
    }

    fn circumstances(&self) -> String {
        let [began, ended] = &self.loads;
        format!(
            "{}, commit {}; {}; load {began} to {ended} while editing. {} lines, {} edits each.",
            Zoned::now().date(),
            machine::commit(),
            machine::machine(),
            self.lines,
            self.edited.first().map_or(0, |(.., edited)| edited.from_event.count()),
        )
    }

    fn table(&self) -> Table {
        let mut table = Table::default();
        self.edits(&mut table);
        self.resources(&mut table);
        self.growth(&mut table);
        self.starts(&mut table);
        self.rate_limited(&mut table);
        table
    }

    /// The contenders with all their lines.
    fn full(&self) -> impl Iterator<Item = &(Program, usize, u64, Edited)> {
        self.edited.iter().enumerate().filter(|(place, _)| *place != 1).map(|(_, contender)| contender)
    }

    fn by(&self, program: Program) -> Option<&(Program, usize, u64, Edited)> {
        self.full().find(|(its, ..)| *its == program)
    }

    fn edits(&self, table: &mut Table) {
        for (program, lines, _, edited) in self.full() {
            for percent in [50, 99] {
                let what = format!("edit's event to its PUT, {}, {lines} lines, p{percent}", program.name());
                table.row(&what, millis(edited.from_event.percentile(percent)));
            }
        }
        if let (Some((.., operator)), Some((.., floor))) = (self.by(Program::Operator), self.by(Program::Floor)) {
            let over = |percent| ratio(operator.from_event.percentile(percent), floor.from_event.percentile(percent));
            table.bounded("the operator's p50 over the floor's", over(50), "1.30");
            table.bounded("the operator's p99 over the floor's", over(99), "2.00");
            let sent = ratio(operator.from_sent.percentile(50), floor.from_sent.percentile(50));
            table.bounded("the same p50, from when the edit was sent to the API server", sent, "1.20");
        }
        for (program, _, _, edited) in self.full() {
            table.row(&format!("processor time an edit, {}", program.name()), cpu(edited.cpu));
        }
        if let (Some((.., operator)), Some((.., floor))) = (self.by(Program::Operator), self.by(Program::Floor)) {
            let over = ratio(operator.cpu.as_secs_f64(), floor.cpu.as_secs_f64());
            table.bounded("the operator's processor time an edit over the floor's", over, "1.50");
        }
    }

    fn resources(&self, table: &mut Table) {
        table.bounded(
            &format!("resident memory, the operator, {} lines", self.lines),
            mebibytes(self.resident_kib),
            "40 MiB",
        );
        table.row("its most ever", mebibytes(self.peak_kib));
        for (program, lines, kib, _) in self.full().filter(|(program, ..)| *program != Program::Operator) {
            table.row(&format!("resident memory, {}, {lines} lines", program.name()), mebibytes(*kib));
        }
        if let Some((_, _, kib, _)) = self.by(Program::ControllerRuntime) {
            let over = Duration::from_secs(self.resident_kib).div_duration_f64(Duration::from_secs(*kib));
            table.bounded("the operator's over controller-runtime's", format!("{over:.2}"), "0.50");
        }
        let idle = format!("idle for {} s", self.idle.span.as_secs());
        let Some(usage) = self.idle.contenders.first() else { return };
        table.bounded(
            &format!("{idle}: writes to Kubernetes but the Lease"),
            self.idle.kubernetes_writes.to_string(),
            "0",
        );
        table.bounded(&format!("{idle}: calls that change the remote"), usage.remote_writes.to_string(), "0");
        let cycles = self.idle.span.as_secs_f64() / 60.0;
        // As many as fit the table's words; a fraction of a read means nothing.
        #[allow(clippy::cast_precision_loss, reason = "counts of calls are far below 2^52")]
        let a_cycle = |calls: usize| format!("{:.0}", calls as f64 / cycles);
        let pages = self.lines.div_ceil(100).to_string();
        table.bounded("reads of the remote a cycle of 60 s", a_cycle(usage.lists + usage.gets), &pages);
        table.row("of them single lines", a_cycle(usage.gets));
        let share = usage.cpu.div_duration_f64(self.idle.span) * 100.0;
        table.bounded(&format!("{idle}: share of a core"), format!("{share:.1} %"), "2 %");
    }

    fn growth(&self, table: &mut Table) {
        let (Some((.., many)), Some((_, few_lines, _, few))) = (self.edited.first(), self.edited.get(1)) else {
            return;
        };
        let p50 = |edited: &Edited| edited.from_event.percentile(50);
        let what = format!("edit's event to its PUT, p50: {} lines over {few_lines}", self.lines);
        table.bounded(&what, ratio(p50(many), p50(few)), "1.2");
        let what = format!("processor time an edit: {} lines over {few_lines}", self.lines);
        table.bounded(&what, ratio(many.cpu.as_secs_f64(), few.cpu.as_secs_f64()), "1.2");
        if let [many, few] = &self.idle.contenders[..] {
            let cycles = self.idle.span.as_secs_f64() / 60.0;
            let a_line = |cpu: Duration, lines: usize| {
                let micros = cpu.as_secs_f64() * 1e6 / cycles / f64::from(u32::try_from(lines).unwrap_or(u32::MAX));
                format!("{micros:.1} µs")
            };
            let at_few = a_line(few.cpu, FEW.min(self.lines));
            table.row(&format!("idle processor time a line and cycle, {FEW} lines"), &at_few);
            table.bounded(
                &format!("idle processor time a line and cycle, {} lines", self.lines),
                a_line(many.cpu, self.lines),
                &at_few,
            );
        }
    }

    fn starts(&self, table: &mut Table) {
        table.bounded("start to ready, p50", millis(self.starts.percentile(50)), "150 ms");
        table.row("start to ready, the longest", millis(self.starts.percentile(100)));
        let took = self.restart.took.map_or(f64::INFINITY, |took| took.as_secs_f64() * 1000.0);
        let what = format!(
            "restart with {} lines, until {} that were edited meanwhile are right, at {} calls a second",
            self.lines,
            restart::EDITED,
            restart::PER_SECOND
        );
        table.bounded(&what, seconds(took, restart::LIMIT), "9 s");
        if self.restart.wrong > 0 {
            table.bounded("of them still wrong then", self.restart.wrong.to_string(), "0");
        }
    }

    fn rate_limited(&self, table: &mut Table) {
        let floor = self.by(Program::Floor).map_or(0.0, |(.., edited)| edited.from_event.percentile(99));
        let slots = f64::from(2000 / limited::PER_SECOND);
        for (program, took) in &self.limited {
            for percent in [50, 99] {
                let what = format!(
                    "edit's event to its PUT, {}, at {} calls a second while {} corrections wait, p{percent}",
                    program.name(),
                    limited::PER_SECOND,
                    limited::CORRECTIONS
                );
                let figure = took.percentile(percent);
                match (*program, percent) {
                    (Program::Operator, 99) => table.bounded(&what, millis(figure), &millis(slots + floor)),
                    (Program::Operator, _) => table.row(&what, millis(figure)),
                    _ => table.row(&what, seconds(figure, limited::LIMIT)),
                }
            }
        }
    }
}
