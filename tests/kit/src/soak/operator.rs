//! An operator that dies, freezes, loses its way to the API server, and whose wall clock jumps.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::control_plane::ControlPlane;
use crate::error::{Because, Error, Result};
use crate::gate::Gate;
use crate::process::{Process, Signal};

use super::pace;

/// How long an operator may take to end when it is asked to: it promises ten seconds.
const END: Duration = Duration::from_secs(20);
/// Where Debian's package `faketime` has the library that tells a program another time.
const LIBRARIES: &str = "/usr/lib";
const LIBRARY: &str = "faketime/libfaketimeMT.so.1";

/// Where a wall clock can be wrong: the library that tells the time, and the file that says how wrong.
struct Clock {
    library: PathBuf,
    file: PathBuf,
}

/// One replica.
pub struct Operator {
    program: PathBuf,
    args: Vec<String>,
    kubeconfig: PathBuf,
    clock: Option<Clock>,
    /// Its own way to the API server.
    pub gate: Gate,
    process: Process,
    /// What its processes that have ended wrote.
    past: String,
}

impl Operator {
    /// Starts one of this number that acts in this namespace.
    pub fn start(program: &Path, number: usize, plane: &ControlPlane, namespace: &str, remote: &str) -> Result<Self> {
        let gate = Gate::open(plane.api_server()?)?;
        let kubeconfig = plane.kubeconfig_at(&format!("https://{}", gate.addr()), None)?;
        let clock = match library() {
            Some(library) => {
                let file = kubeconfig.with_file_name(format!("clock-{number}"));
                std::fs::write(&file, "+0").because(file.display())?;
                Some(Clock { library, file })
            }
            None => None,
        };
        let millis = |duration: Duration| format!("{}ms", duration.as_millis());
        let windows = [
            ("--lease-duration", pace::LEASE),
            ("--call-timeout", pace::CALL),
            ("--doubt-window", pace::DOUBT),
            ("--settle-window", pace::SETTLE),
            ("--freeze-window", pace::FREEZE),
            ("--read-lag", pace::LAG),
        ];
        let args: Vec<String> =
            ["run", "--allow-http-loopback", "--http-address", "127.0.0.1:0", "--remote-url", remote]
                .into_iter()
                .chain(["--namespace", namespace, "--lease-namespace", namespace])
                .map(str::to_owned)
                .chain(windows.into_iter().flat_map(|(flag, window)| [flag.to_owned(), millis(window)]))
                .collect();
        let process = spawn(program, &args, &kubeconfig, clock.as_ref())?;
        Ok(Self { program: program.to_owned(), args, kubeconfig, clock, gate, process, past: String::new() })
    }

    /// Kills it.
    pub async fn kill(&mut self) -> Result<()> {
        self.process.signal(Signal::SIGKILL)?;
        self.process.wait(END).await.map(|_| ())
    }

    /// Asks it to end, and waits until it has. Fails when it doesn't, or not well.
    pub async fn stop(&mut self) -> Result<()> {
        self.process.signal(Signal::SIGTERM)?;
        let status = self.process.wait(END).await?;
        if status.success() {
            return Ok(());
        }
        Err(Error::new(format!("after SIGTERM it ended with {status}:\n{}", self.process.tail())))
    }

    /// Starts it again.
    pub fn start_again(&mut self) -> Result<()> {
        let process = spawn(&self.program, &self.args, &self.kubeconfig, self.clock.as_ref())?;
        let before = std::mem::replace(&mut self.process, process);
        let _ = writeln!(self.past, "{}", before.output());
        Ok(())
    }

    /// Fails when it has ended by itself.
    pub fn runs(&self) -> Result<()> {
        match self.process.try_wait()? {
            None => Ok(()),
            Some(status) => {
                let tail = self.process.tail();
                Err(Error::new(format!("an operator has ended by itself with {status}:\n{tail}")))
            }
        }
    }

    /// Freezes it, as a paused virtual machine.
    pub fn freeze(&self) -> Result<()> {
        self.process.signal(Signal::SIGSTOP)
    }

    /// Lets it go on.
    pub fn thaw(&self) -> Result<()> {
        self.process.signal(Signal::SIGCONT)
    }

    /// Sets its wall clock so many seconds wrong, within three seconds; the monotonic one goes on. False where that can't be had.
    pub fn set_clock_wrong_by(&self, seconds: i64) -> Result<bool> {
        let Some(Clock { file, .. }) = &self.clock else { return Ok(false) };
        std::fs::write(file, format!("{seconds:+}")).because(file.display())?;
        Ok(true)
    }

    /// Everything that its processes have written.
    pub fn output(&self) -> String {
        format!("{}{}\n", self.past, self.process.output())
    }
}

/// The library, where it is installed.
pub fn library() -> Option<PathBuf> {
    let folders = std::fs::read_dir(LIBRARIES).ok()?;
    folders.filter_map(|folder| Some(folder.ok()?.path().join(LIBRARY))).find(|library| library.is_file())
}

fn spawn(program: &Path, args: &[String], kubeconfig: &Path, clock: Option<&Clock>) -> Result<Process> {
    let mut env = vec![("KUBECONFIG", kubeconfig.as_os_str())];
    if let Some(Clock { library, file }) = clock {
        env.extend([
            ("LD_PRELOAD", library.as_os_str()),
            ("FAKETIME_TIMESTAMP_FILE", file.as_os_str()),
            ("FAKETIME_CACHE_DURATION", "1".as_ref()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".as_ref()),
        ]);
    }
    Process::spawn(program, args, env)
}
