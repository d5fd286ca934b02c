//! The two servers as processes that can be killed and started again.

use std::fmt::Write;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use kube::config::Kubeconfig;

use super::audit::Audit;
use super::certificates::Certificates;
use super::{Options, kubeconfig};
use crate::error::{Because, Error, Result};
use crate::lock;
use crate::port::Port;
use crate::process::Process;

/// What the token file knows; random words would protect nothing more on loopback, in a private folder.
const ADMIN_TOKEN: &str = "admin-of-the-testkit";

pub struct Servers {
    // kube-apiserver first: dropped in this order, it doesn't complain of an etcd that has gone.
    pub api_server: Server,
    pub etcd: Server,
    pub audit: Audit,
    pub certificates: Certificates,
}

/// One program with its port; the port is ours for as long as this lives.
pub struct Server {
    program: PathBuf,
    args: Vec<String>,
    process: Mutex<Option<Process>>,
    port: Port,
}

impl Servers {
    /// Starts both, and says how to get at them once they serve.
    pub fn start(binaries: &Path, folder: &Path, options: &Options) -> Result<(Self, Kubeconfig)> {
        let certificates = Certificates::issue(folder, options.address)?;
        let tokens = folder.join("tokens.csv");
        std::fs::write(&tokens, format!("{ADMIN_TOKEN},admin,admin,system:masters\n")).because(tokens.display())?;
        let audit = Audit::new(folder)?;

        let etcd = Server::new(binaries.join("etcd"), Ipv4Addr::LOCALHOST)?;
        let etcd_url = format!("http://{}", etcd.port.addr());
        let etcd = etcd.with_args([
            format!("--data-dir={}", folder.join("etcd").display()),
            format!("--listen-client-urls={etcd_url}"),
            format!("--advertise-client-urls={etcd_url}"),
            // A cluster of one has no peers: any port does.
            "--listen-peer-urls=http://127.0.0.1:0".to_owned(),
            "--log-level=warn".to_owned(),
            // The data needs to outlive the process, not the machine.
            "--unsafe-no-fsync".to_owned(),
        ]);

        let api_server = Server::new(binaries.join("kube-apiserver"), options.address)?;
        let port = api_server.port.addr().port();
        let api_server = api_server
            .with_args([
                format!("--etcd-servers={etcd_url}"),
                format!("--bind-address={}", options.address),
                format!("--secure-port={port}"),
                // Given, or it looks for a network interface that leads out.
                format!("--advertise-address={}", options.address),
                // An endpoint on loopback would be refused, and nobody looks for one.
                "--endpoint-reconciler-type=none".to_owned(),
                "--service-cluster-ip-range=10.0.0.0/24".to_owned(),
                format!("--tls-cert-file={}", certificates.serving.display()),
                format!("--tls-private-key-file={}", certificates.serving_key.display()),
                format!("--token-auth-file={}", tokens.display()),
                "--authorization-mode=RBAC".to_owned(),
                "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
                format!("--service-account-key-file={}", certificates.service_account_public_key.display()),
                format!("--service-account-signing-key-file={}", certificates.service_account_key.display()),
            ])
            .with_args(audit.args())
            // The plugin asks for service accounts that a controller makes.
            .with_args((!options.controllers).then(|| "--disable-admission-plugins=ServiceAccount".to_owned()))
            .with_args(options.api_server_args.clone());

        let url = format!("https://{}", api_server.port.addr());
        etcd.start()?;
        api_server.start()?;
        let access = kubeconfig::new(&url, &certificates.ca, ADMIN_TOKEN);
        Ok((Self { api_server, etcd, audit, certificates }, access))
    }

    /// An error that quotes its log when one of them has ended by itself.
    pub fn alive(&self) -> Result<()> {
        for server in self.both() {
            if let Some(process) = &*server.process()
                && let Some(status) = process.try_wait()?
            {
                return Err(Error::new(format!(
                    "{} ended with {status}; last lines:\n{}",
                    server.name(),
                    process.tail()
                )));
            }
        }
        Ok(())
    }

    /// The last lines of both logs.
    pub fn tails(&self) -> String {
        let mut text = String::new();
        for server in self.both() {
            if let Some(process) = &*server.process() {
                let _ = writeln!(text, "last lines of {}:\n{}", server.name(), process.tail());
            }
        }
        text
    }

    fn both(&self) -> [&Server; 2] {
        [&self.etcd, &self.api_server]
    }
}

impl Server {
    fn new(program: PathBuf, address: Ipv4Addr) -> Result<Self> {
        let port = Port::reserve_at(address).because(format!("no port for {}", program.display()))?;
        Ok(Self { program, args: Vec::new(), process: Mutex::new(None), port })
    }

    fn with_args(mut self, args: impl IntoIterator<Item = String>) -> Self {
        self.args.extend(args);
        self
    }

    /// Starts it, in place of one that may run.
    pub fn start(&self) -> Result<()> {
        self.stop();
        let started = Process::spawn(&self.program, &self.args, [("", ""); 0])?;
        *self.process() = Some(started);
        Ok(())
    }

    /// Kills it with `SIGKILL` and waits until it is gone.
    pub fn stop(&self) {
        self.process().take();
    }

    fn process(&self) -> MutexGuard<'_, Option<Process>> {
        lock(&self.process)
    }

    fn name(&self) -> impl std::fmt::Display + '_ {
        self.program.file_name().unwrap_or_default().display()
    }
}
