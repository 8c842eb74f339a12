//! `sslmode` against a real server, with certificates made for the test.

use std::{
    fs,
    os::unix::{fs::MetadataExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use diesel::{QueryableByName, sql_types::Bool};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use loquent::platform::postgres::{Db, connect::connect, embedded, migrate, pool::PoolSettings};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::embedded::owner::{options, scratch};

/// A server that speaks TCP on loopback, with a certificate for `localhost` and no other name.
struct TlsServer {
    child: Child,
    port: u16,
    home: TempDir,
}

impl TlsServer {
    async fn start() -> Self {
        let home = scratch();
        let cluster = embedded::start(&options(home.path())).await.unwrap();
        let mut conn = connect(&cluster.url("postgres")).await.unwrap();
        conn.batch_execute("ALTER USER loquent PASSWORD 'pass'").await.unwrap();
        conn.batch_execute("ALTER SYSTEM SET ssl = on").await.unwrap();
        let (data, programs) = (cluster.data_dir().to_owned(), cluster.bin_dir().to_owned());
        cluster.stop().await;
        write_certificates(home.path(), &data);
        let hba = "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n";
        fs::write(data.join("pg_hba.conf"), hba).unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let owner = fs::metadata(&data).unwrap();
        let mut command = Command::new(programs.join("postgres"));
        command.arg("-D").arg(&data).args(["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]);
        command.args(["-c", "unix_socket_directories=", "-c", &format!("port={port}")]);
        if rustix::process::geteuid().is_root() {
            command.uid(owner.uid()).gid(owner.gid());
        }
        let child = command.current_dir("/").stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let this = Self { child, port, home };
        let url = this.url("127.0.0.1", "sslmode=disable");
        let ready = async {
            while connect(&url).await.is_err() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), ready).await.expect("the server starts");
        this
    }

    fn url(&self, host: &str, query: &str) -> String {
        format!("postgres://loquent:pass@{host}:{}/postgres?{query}", self.port)
    }

    fn authority(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    async fn set_tls(&self, is_on: bool) {
        let mut conn = connect(&self.url("127.0.0.1", "sslmode=disable")).await.unwrap();
        conn.batch_execute(&format!("ALTER SYSTEM SET ssl = {is_on}")).await.unwrap();
        conn.batch_execute("SELECT pg_reload_conf()").await.unwrap();
        let is_there = async || connect(&self.url("127.0.0.1", "sslmode=require")).await.is_ok();
        while is_there().await != is_on {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::QUIT);
        }
        let _ = self.child.wait();
    }
}

/// An authority and the server's certificate by it, and an authority that has signed nothing.
fn write_certificates(home: &Path, data: &Path) {
    let authority = |file: &str| {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, file);
        let key = KeyPair::generate().unwrap();
        fs::write(home.join(file), params.self_signed(&key).unwrap().pem()).unwrap();
        Issuer::new(params, key)
    };
    let right = authority("right.pem");
    authority("wrong.pem");
    fs::write(home.join("empty.pem"), "").unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &right).unwrap();
    let owner = fs::metadata(data).unwrap();
    for (file, text) in [("server.crt", certificate.pem()), ("server.key", key.serialize_pem())] {
        let path = data.join(file);
        fs::write(&path, text).unwrap();
        std::os::unix::fs::chown(&path, Some(owner.uid()), Some(owner.gid())).unwrap();
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    }
}

#[derive(QueryableByName)]
struct Encrypted {
    #[diesel(sql_type = Bool)]
    ssl: bool,
}

/// Whether the server sees this connection as encrypted; `Err` has the words of the fault.
async fn is_encrypted(url: &str) -> Result<bool, String> {
    let mut conn = connect(url).await.map_err(|error| format!("{error:#}"))?;
    let query = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    Ok(diesel::sql_query(query).get_result::<Encrypted>(&mut conn).await.unwrap().ssl)
}

#[tokio::test]
async fn every_sslmode_protects_exactly_what_it_says() {
    let server = TlsServer::start().await;
    let (right, wrong) = (server.authority("right.pem"), server.authority("wrong.pem"));
    let (right, wrong) = (right.display(), wrong.display());
    let by_right = |mode: &str| format!("sslmode={mode}&sslrootcert={right}");
    let by_wrong = |mode: &str| format!("sslmode={mode}&sslrootcert={wrong}");
    // The certificate is for localhost: by its number the server has a wrong name.
    let (named, numbered) = ("localhost", "127.0.0.1");
    let unknown = Err("an authority that sslrootcert does not name");
    let other_name = Err("for another host name");
    let table: Vec<(&str, String, Result<bool, &str>)> = vec![
        (named, "sslmode=disable".to_owned(), Ok(false)),
        (named, String::new(), Ok(true)),
        (named, "sslmode=prefer".to_owned(), Ok(true)),
        (numbered, "sslmode=prefer".to_owned(), Ok(true)),
        (numbered, "sslmode=require".to_owned(), Ok(true)),
        (named, by_right("require"), Ok(true)),
        (numbered, by_wrong("require"), unknown),
        (named, by_right("verify-ca"), Ok(true)),
        (numbered, by_right("verify-ca"), Ok(true)),
        (named, by_wrong("verify-ca"), unknown),
        (named, by_right("verify-full"), Ok(true)),
        (numbered, by_right("verify-full"), other_name),
        (named, by_wrong("verify-full"), unknown),
        (named, "sslmode=verify-full".to_owned(), unknown),
        (named, "sslrootcert=system".to_owned(), unknown),
        (named, format!("{}&channel_binding=require", by_right("verify-full")), Ok(true)),
        (named, "sslmode=disable&channel_binding=require".to_owned(), Err("channel binding")),
        (named, format!("sslmode=verify-ca&sslrootcert={right}.none"), Err("cannot read the certificates")),
        (named, by_right("verify-ca").replace("right.pem", "empty.pem"), Err("it holds none")),
    ];
    for (host, query, expected) in &table {
        let found = is_encrypted(&server.url(host, query)).await;
        match (&found, expected) {
            (Ok(found), Ok(expected)) if found == expected => {}
            (Err(words), Err(expected)) if words.contains(expected) && !words.contains("pass@") => {}
            _ => panic!("{host} {query}: found {found:?}, expected {expected:?}"),
        }
    }
    println!("sslmode: {} combinations against a real server", table.len());

    // Pools and migrations come through the same door.
    let url = server.url(named, &by_right("verify-full"));
    assert!(!migrate::up(&url).await.unwrap().is_empty());
    let settings = PoolSettings { name: "test", size: 1, wait: Duration::from_secs(5) };
    Db::try_new(&url, settings).unwrap().ping().await.unwrap();
    let refused = migrate::status(&server.url(named, &by_wrong("verify-full"))).await.unwrap_err();
    assert!(format!("{refused:#}").contains("sslrootcert does not name"), "{refused:#}");
    let error = Db::try_new(&server.url(named, &by_wrong("verify-full")), settings).unwrap().ping().await;
    assert!(error.unwrap_err().chain().contains("sslrootcert does not name"));

    server.set_tls(false).await;
    assert_eq!(is_encrypted(&server.url(named, "sslmode=prefer")).await, Ok(false));
    let refused = is_encrypted(&server.url(named, "sslmode=require")).await.unwrap_err();
    assert!(refused.contains("offers no TLS"), "{refused}");
}
