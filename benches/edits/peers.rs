//! The same job in two other frameworks: `benches/peers`. They are built and installed the first time.

use std::path::{Path, PathBuf};

use sarvam_testkit::{
    error::{Error, Result},
    path_from, program,
};

use crate::{contender::Program, say};

/// The peers that this machine can run.
pub struct Peers {
    controller_runtime: Option<PathBuf>,
    kopf: Option<PathBuf>,
}

impl Peers {
    /// Builds and installs what isn't there yet. A peer that can't be had is left out, with a word on stderr.
    pub async fn prepare() -> Self {
        let venv = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers/kopf/venv");
        let or_none = |peer: Program, path: Result<PathBuf>| match path {
            Ok(path) => Some(path),
            Err(error) => {
                say(&format!("{} is left out: {error}", peer.name()));
                None
            }
        };
        Self {
            controller_runtime: or_none(Program::ControllerRuntime, program("controller-runtime").await),
            kopf: or_none(Program::Kopf, path_from(&venv, &[]).await),
        }
    }

    /// Those that are there.
    pub fn programs(&self) -> impl Iterator<Item = Program> {
        let controller_runtime = self.controller_runtime.as_ref().map(|_| Program::ControllerRuntime);
        controller_runtime.into_iter().chain(self.kopf.as_ref().map(|_| Program::Kopf))
    }

    /// The path of its program.
    pub fn path(&self, program: Program) -> Result<&Path> {
        let path = match program {
            Program::ControllerRuntime => &self.controller_runtime,
            Program::Kopf => &self.kopf,
            Program::Operator | Program::Floor => &None,
        };
        path.as_deref().ok_or_else(|| Error::new(format!("{} is no peer that is there", program.name())))
    }
}
