//! A proxy on loopback in front of the server of the tests, which counts what a client makes the server answer.
//!
//! A *flight* is one message that asks for an answer: `Sync`, `Flush` or a simple `Query`. Each is recorded before it is
//! passed on, with the statement it belongs to, so whoever has the answer finds its flight counted.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream, UnixStream},
};
use tokio_util::sync::{CancellationToken, DropGuard};
use url::Url;

/// A proxy that runs until it is dropped.
pub struct Proxy {
    url: String,
    flights: Arc<Mutex<Vec<Flight>>>,
    /// Of the connections from now on.
    spell: Arc<Mutex<Spell>>,
    _stop: DropGuard,
}

/// When connections go silent, and when they end after that.
#[derive(Clone, Default)]
struct Spell {
    silent: CancellationToken,
    over: CancellationToken,
}

/// One wait for the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flight {
    /// Text of the statement; empty when the flight names none, such as one that only closes.
    pub sql: String,
    /// True when the statement was only prepared.
    pub is_preparation: bool,
    /// The bound values as they went over the wire; `None` for NULL.
    pub values: Vec<Option<Vec<u8>>>,
}

impl Proxy {
    /// Listens on loopback and passes on to the database at `url`.
    pub async fn start(url: &str) -> Self {
        let mut url = Url::parse(url).unwrap();
        let server = Server::of(&url);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(listener.local_addr().unwrap().port())).unwrap();
        let flights = Arc::new(Mutex::new(Vec::new()));
        let spell = Arc::new(Mutex::new(Spell::default()));
        let stop = CancellationToken::new();
        let accepting = accept(listener, server, flights.clone(), spell.clone(), stop.clone());
        #[expect(clippy::disallowed_methods, reason = "the drop guard ends it")]
        tokio::spawn(stop.clone().run_until_cancelled_owned(accepting));
        Self { url: url.to_string(), flights, spell, _stop: stop.drop_guard() }
    }

    /// Address of the same database through the proxy.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// From now on nothing is heard on the connections that there are, and what is said on them is swallowed; later ones
    /// work. They stay open until what this returns is dropped.
    pub fn silence(&self) -> DropGuard {
        let spell = std::mem::take(&mut *self.spell.lock().unwrap());
        spell.silent.cancel();
        spell.over.drop_guard()
    }

    /// Flights so far; a mark for [`Self::since`].
    pub fn count(&self) -> usize {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// The flights after a mark, oldest first.
    pub fn since(&self, mark: usize) -> Vec<Flight> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)[mark..].to_vec()
    }
}

#[derive(Debug, Clone)]
enum Server {
    Socket(String),
    Tcp(String),
}

impl Server {
    fn of(url: &Url) -> Self {
        let host = url.host_str().unwrap();
        let pair = format!("host={host}");
        let (_, host) = url::form_urlencoded::parse(pair.as_bytes()).next().unwrap();
        let port = url.port().unwrap_or(5432);
        if host.starts_with('/') {
            Self::Socket(format!("{host}/.s.PGSQL.{port}"))
        } else {
            Self::Tcp(format!("{host}:{port}"))
        }
    }
}

async fn accept(
    listener: TcpListener,
    server: Server,
    flights: Arc<Mutex<Vec<Flight>>>,
    spell: Arc<Mutex<Spell>>,
    stop: CancellationToken,
) {
    while let Ok((client, _)) = listener.accept().await {
        client.set_nodelay(true).unwrap();
        let (server, flights) = (server.clone(), flights.clone());
        let spell = spell.lock().unwrap().clone();
        let serving = async move {
            match server {
                Server::Socket(path) => {
                    relay(client, UnixStream::connect(path).await.unwrap(), flights, spell).await
                }
                Server::Tcp(address) => {
                    relay(client, TcpStream::connect(address).await.unwrap(), flights, spell).await;
                }
            }
        };
        #[expect(clippy::disallowed_methods, reason = "the drop guard of the proxy ends it")]
        tokio::spawn(stop.clone().run_until_cancelled_owned(serving));
    }
}

/// Until either side has ended.
async fn relay(
    client: TcpStream,
    server: impl AsyncRead + AsyncWrite,
    flights: Arc<Mutex<Vec<Flight>>>,
    spell: Spell,
) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = tokio::io::split(server);
    let up = async {
        let mut reader = Reader::default();
        let mut buffer = vec![0; 64 << 10];
        while let Ok(size @ 1..) = from_client.read(&mut buffer).await {
            let found = reader.read(&buffer[..size]);
            flights.lock().unwrap_or_else(PoisonError::into_inner).extend(found);
            if to_server.write_all(&buffer[..size]).await.is_err() {
                return;
            }
        }
    };
    let down = tokio::io::copy(&mut from_server, &mut to_client);
    tokio::select! {
        () = up => {}
        _ = down => {}
        () = spell.silent.cancelled() => spell.over.cancelled().await,
    }
}

/// `SSLRequest` without its length.
const ASK_FOR_TLS: [u8; 4] = 80_877_103_u32.to_be_bytes();

/// What one client says, message by message.
#[derive(Default)]
struct Reader {
    is_started: bool,
    unread: Vec<u8>,
    /// Texts of prepared statements by name.
    statements: HashMap<Vec<u8>, String>,
    next: Option<Flight>,
}

impl Reader {
    /// Takes the next bytes and returns the flights that are whole with them.
    fn read(&mut self, bytes: &[u8]) -> Vec<Flight> {
        self.unread.extend_from_slice(bytes);
        let mut found = Vec::new();
        loop {
            // The first message has no type.
            let head = usize::from(self.is_started);
            let Some(size) = self.unread.get(head..head + 4) else { return found };
            let end = head + u32::from_be_bytes(size.try_into().unwrap()) as usize;
            if self.unread.len() < end {
                return found;
            }
            let message: Vec<u8> = self.unread.drain(..end).collect();
            if self.is_started {
                found.extend(self.take(message[0], &message[5..]));
            } else {
                // Who asks for TLS says hello again after the answer, which is no: the server of the tests has none.
                self.is_started = message[4..] != ASK_FOR_TLS;
            }
        }
    }

    fn take(&mut self, kind: u8, body: &[u8]) -> Option<Flight> {
        let flight = |sql: String| Flight { sql, is_preparation: false, values: Vec::new() };
        match kind {
            b'P' => {
                let (name, rest) = split_text(body);
                let sql = String::from_utf8_lossy(split_text(rest).0).into_owned();
                self.statements.insert(name.to_vec(), sql.clone());
                self.next = Some(Flight { is_preparation: true, ..flight(sql) });
                None
            }
            b'B' => {
                let (name, values) = split_text(split_text(body).1);
                let sql = self.statements.get(name).cloned().unwrap_or_default();
                self.next = Some(Flight { values: bound(values), ..flight(sql) });
                None
            }
            b'S' | b'H' => Some(self.next.take().unwrap_or_else(|| flight(String::new()))),
            b'Q' => Some(flight(String::from_utf8_lossy(split_text(body).0).into_owned())),
            _ => None,
        }
    }
}

/// A text that ends with a zero byte, and what follows it.
fn split_text(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap();
    (&bytes[..end], &bytes[end + 1..])
}

/// The values of a `Bind`, whose formats come first.
fn bound(bytes: &[u8]) -> Vec<Option<Vec<u8>>> {
    let short = |at: usize| usize::from(u16::from_be_bytes(bytes[at..at + 2].try_into().unwrap()));
    let mut at = 2 + 2 * short(0);
    let count = short(at);
    at += 2;
    let mut values = Vec::new();
    for _ in 0..count {
        let size = i32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
        at += 4;
        // A negative size stands for NULL.
        let value = usize::try_from(size).ok().map(|size| bytes[at..at + size].to_vec());
        at += value.as_ref().map_or(0, Vec::len);
        values.push(value);
    }
    values
}
