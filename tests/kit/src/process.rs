use std::ffi::OsStr;
use std::io::{BufRead, BufReader, PipeReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use nix::sys::signal::{kill, killpg};
use nix::time::clock_getcpuclockid;
use nix::unistd::Pid;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout, timeout_at};

pub use nix::sys::signal::Signal;

use crate::error::{Because, Error, Result};
use crate::lock;
use crate::reaper;

/// How often a child is asked whether it has ended.
const POLL: Duration = Duration::from_millis(10);
/// How many of the last lines an error quotes.
const TAIL: usize = 20;

/// A running program. It gets `SIGKILL` when this is dropped or when this process ends, in whatever way, and also when it is frozen;
/// so do the processes that it started itself.
///
/// Bound to no tokio runtime: one test may start it and another use it.
pub struct Process {
    name: String,
    pid: u32,
    child: Mutex<Child>,
    output: watch::Receiver<Output>,
}

#[derive(Default)]
struct Output {
    lines: Vec<String>,
    closed: bool,
}

impl Process {
    /// Starts a program with these arguments. Its environment is `PATH`, `HOME` and what `env` names; its input is empty.
    ///
    /// Fails when the program can't be started.
    pub fn spawn(
        program: impl AsRef<Path>,
        args: impl IntoIterator<Item = impl AsRef<OsStr>>,
        env: impl IntoIterator<Item = (impl AsRef<OsStr>, impl AsRef<OsStr>)>,
    ) -> Result<Self> {
        let program = program.as_ref();
        let tried = format!("{} could not be started", program.display());
        // One pipe for both streams keeps the lines in the order in which they were written.
        let (reader, writer) = std::io::pipe().because(&tried)?;
        let mut command = Command::new(program);
        command
            .args(args)
            .env_clear()
            .envs(["PATH", "HOME"].into_iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
            .envs(env)
            .stdin(Stdio::null())
            .stderr(writer.try_clone().because(&tried)?)
            .stdout(writer)
            // A group of its own: Ctrl-C is for us, and what it starts can be killed with it.
            .process_group(0);
        let child = command.spawn().because(&tried)?;
        // Our copies of the pipe's end; while one is open the reader would not see the end of the output.
        drop(command);

        let (sender, output) = watch::channel(Output::default());
        std::thread::spawn(move || collect(reader, &sender));
        let name = program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned();
        let process = Self { name, pid: child.id(), child: Mutex::new(child), output };
        reaper::watch(process.pid)?;
        Ok(process)
    }

    /// The program's name, without its folder.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Everything it has written until now, both streams.
    #[must_use]
    pub fn output(&self) -> String {
        self.output.borrow().lines.join("\n")
    }

    /// The last lines of the output, for an error's text.
    #[must_use]
    pub fn tail(&self) -> String {
        let lines = &self.output.borrow().lines;
        lines[lines.len().saturating_sub(TAIL)..].join("\n")
    }

    /// Waits for a line that contains `text`, already written ones included, and returns it.
    ///
    /// Fails when `limit` is over or the output ends first; the error quotes the last lines.
    pub async fn wait_for_line(&self, text: &str, limit: Duration) -> Result<String> {
        let deadline = Instant::now() + limit;
        let mut output = self.output.clone();
        let mut seen = 0;
        loop {
            let closed = {
                let now = output.borrow_and_update();
                if let Some(line) = now.lines[seen..].iter().find(|line| line.contains(text)) {
                    return Ok(line.clone());
                }
                seen = now.lines.len();
                now.closed
            };
            let why = if closed {
                "its output ended".to_owned()
            } else if timeout_at(deadline, output.changed()).await.is_err() {
                format!("{limit:?} went by")
            } else {
                continue;
            };
            return Err(Error::new(format!(
                "{}: {why} before a line with {text:?}; last lines:\n{}",
                self.name,
                self.tail()
            )));
        }
    }

    /// Sends it a signal. Fails when it has ended.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let mut child = self.child();
        // Under the lock, so that nobody waits for it in between and its number becomes another's.
        if let Some(status) = self.poll(&mut child)? {
            return Err(Error::new(format!("{} can't get {signal}: it has ended with {status}", self.name)));
        }
        kill(self.group(), signal).because(format!("{} can't get {signal}", self.name))
    }

    /// How it ended, or nothing while it runs.
    pub fn try_wait(&self) -> Result<Option<ExitStatus>> {
        self.poll(&mut self.child())
    }

    /// Waits for its end; all its output is collected then. Fails when it still runs after `limit`.
    pub async fn wait(&self, limit: Duration) -> Result<ExitStatus> {
        let deadline = Instant::now() + limit;
        let status = loop {
            if let Some(status) = self.try_wait()? {
                break status;
            }
            if Instant::now() >= deadline {
                return Err(Error::new(format!(
                    "{} still runs after {limit:?}; last lines:\n{}",
                    self.name,
                    self.tail()
                )));
            }
            sleep(POLL).await;
        };
        // A process that it left behind may hold the pipe open: its lines are not waited for without end.
        let mut output = self.output.clone();
        let _ = timeout(Duration::from_secs(1), output.wait_for(|output| output.closed)).await;
        Ok(status)
    }

    /// Resident memory in KiB, from `/proc`. Fails when it has ended.
    pub fn rss_kib(&self) -> Result<u64> {
        self.memory_kib("VmRSS")
    }

    /// The most that its resident memory ever was, in KiB, from `/proc`. Fails when it has ended.
    pub fn peak_rss_kib(&self) -> Result<u64> {
        self.memory_kib("VmHWM")
    }

    /// The processor time that it has used since its start, in user and system mode, by all its threads.
    ///
    /// Fails when it has ended, or where the system has no such clock.
    pub fn cpu_time(&self) -> Result<Duration> {
        let tried = format!("the processor time of {}", self.name);
        let clock = clock_getcpuclockid(self.group()).because(&tried)?;
        Ok(clock.now().because(&tried)?.into())
    }

    fn memory_kib(&self, field: &str) -> Result<u64> {
        let path = format!("/proc/{}/status", self.pid);
        let status = std::fs::read_to_string(&path).because(&path)?;
        status
            .lines()
            .find_map(|line| {
                line.strip_prefix(field)?.strip_prefix(':')?.trim().strip_suffix("kB")?.trim().parse().ok()
            })
            .ok_or_else(|| Error::new(format!("{path} has no {field}: {} has ended", self.name)))
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        lock(&self.child)
    }

    fn group(&self) -> Pid {
        Pid::from_raw(self.pid.try_into().expect("a process id fits pid_t"))
    }

    fn poll(&self, child: &mut Child) -> Result<Option<ExitStatus>> {
        let status = child.try_wait().because(format!("{} can't be waited for", self.name))?;
        if status.is_some() {
            reaper::forget(self.pid);
        }
        Ok(status)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let mut child = self.child();
        if matches!(child.try_wait(), Ok(None)) {
            // Ended in between is fine: the number is ours until the wait below.
            let _ = killpg(self.group(), Signal::SIGKILL);
            let _ = child.wait();
        }
        reaper::forget(self.pid);
    }
}

fn collect(reader: PipeReader, output: &watch::Sender<Output>) {
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    while matches!(reader.read_until(b'\n', &mut line), Ok(1..)) {
        let text = String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned();
        output.send_modify(|output| output.lines.push(text));
        line.clear();
    }
    output.send_modify(|output| output.closed = true);
}
