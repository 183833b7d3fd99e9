//! A server behind TLS that answers every request with a page, so that its certificate is what is looked at.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};

/// A running server; dropping it stops it.
pub(crate) struct TlsServer {
    child: Child,
    port: u16,
}

impl TlsServer {
    /// Serves with this key and this certificate on a free port of loopback.
    pub(crate) fn start(key: &Path, certificate: &Path) -> Result<Self> {
        let free =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port on loopback")?;
        let port = free.local_addr()?.port();
        drop(free);
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--", "openssl", "s_server", "-www"]);
        command.args(["-accept", &format!("127.0.0.1:{port}")]);
        command.arg("-key").arg(key).arg("-cert").arg(certificate);
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().context("openssl does not start")?;
        let said = child.stdout.take().expect("standard output is piped");
        let server = Self { child, port };
        let mut lines = BufReader::new(said).lines().map_while(std::result::Result::ok);
        ensure!(lines.any(|line| line == "ACCEPT"), "openssl s_server ended before it listened");
        // Its pipe is emptied as long as it lives, so that it never waits for a reader.
        std::thread::spawn(move || lines.for_each(drop));
        Ok(server)
    }

    /// The port on loopback.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        // Already gone is as good as stopped.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
