//! The real binary, as an operator would start it.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
};

/// A running server; it ends with the value.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
}

impl Server {
    /// Starts it over a database with these settings, and waits until it listens. `--dev` counts no requests and no points
    /// of this machine; all servers sign with the same key.
    pub fn start(home: &Path, database_url: &str, settings: &str) -> Self {
        let file = home.join("loquent.toml");
        std::fs::write(&file, settings).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_loquent"))
            .env_clear()
            .env("HOME", home)
            .env("LOQUENT_DATA_DIR", home)
            .env("DATABASE_URL", database_url)
            .env("RUST_LOG", "loquent=error")
            .env(
                "LOQUENT_AUTH__SIGNING_KEYS",
                "bench:vK2p7RmQx9TzLc4WbYh8NsJd3FgAeU6iXo5PqHtC1yMkZrSnEwBlGa0D",
            )
            .current_dir(home)
            .args(["serve", "--dev", "--port", "0", "--config"])
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = loop {
            let line = lines.next().expect("the server ended before it was ready").unwrap();
            if let Some((_, rest)) = line.split_once("http://") {
                break rest.split('/').next().unwrap().parse().unwrap();
            }
        };
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
