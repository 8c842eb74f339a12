//! A proxy on loopback in front of the server of the tests, which counts what a client makes the server answer.
//!
//! A *flight* is one message that asks for an answer: `Sync`, `Flush` or a simple `Query`. Each is recorded before it is
//! passed on, with the statement it belongs to, so whoever has the answer finds its flight counted. A client can be made to
//! wait for ever at a statement ([`Proxy::stall`]), and be answered in waves ([`Proxy::answer_in_waves`]).

#[path = "proxy/stall.rs"]
mod stall;
#[path = "proxy/waves.rs"]
mod waves;
#[path = "proxy/wire.rs"]
mod wire;

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream, UnixStream},
};
use tokio_util::sync::{CancellationToken, DropGuard};
use url::Url;

pub use self::stall::{Side, Stall};
use self::{
    stall::Stalls,
    waves::{Question, Waves},
    wire::{ClientReader, ServerReader},
};

/// A proxy that runs until it is dropped.
pub struct Proxy {
    url: String,
    shared: Arc<Shared>,
    stop: CancellationToken,
    _stop: DropGuard,
}

#[derive(Default)]
struct Shared {
    flights: Mutex<Vec<Flight>>,
    /// Of the connections from now on.
    spell: Mutex<Spell>,
    stalls: Stalls,
    waves: Waves,
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
    /// Number of the wave in which it is answered; 0 as long as nobody asked for waves.
    pub wave: usize,
}

impl Proxy {
    /// Listens on loopback and passes on to the database at `url`.
    pub async fn start(url: &str) -> Self {
        let mut url = Url::parse(url).unwrap();
        let server = Server::of(&url);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(listener.local_addr().unwrap().port())).unwrap();
        let shared = Arc::<Shared>::default();
        let stop = CancellationToken::new();
        let accepting = accept(listener, server, shared.clone(), stop.clone());
        #[expect(clippy::disallowed_methods, reason = "the drop guard ends it")]
        tokio::spawn(stop.clone().run_until_cancelled_owned(accepting));
        Self { url: url.to_string(), shared, stop: stop.clone(), _stop: stop.drop_guard() }
    }

    /// Address of the same database through the proxy.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// From now on nothing is heard on the connections that there are, and what is said on them is swallowed; later ones
    /// work. They stay open until what this returns is dropped.
    pub fn silence(&self) -> DropGuard {
        let spell = std::mem::take(&mut *self.shared.spell.lock().unwrap());
        spell.silent.cancel();
        spell.over.drop_guard()
    }

    /// The next client that comes to a statement with this text waits there for ever, on this side of it.
    pub fn stall(&self, text: &'static str, side: Side) -> Stall {
        self.shared.stalls.add(text, side)
    }

    /// From now on answers come in waves; see [`waves`]. For a runtime of one thread, with the client in it.
    pub fn answer_in_waves(&self) {
        let shared = self.shared.clone();
        let sending = async move { shared.waves.run().await };
        #[expect(clippy::disallowed_methods, reason = "the drop guard ends it")]
        tokio::spawn(self.stop.clone().run_until_cancelled_owned(sending));
    }

    /// Flights so far; a mark for [`Self::since`].
    pub fn count(&self) -> usize {
        self.shared.lock_flights().len()
    }

    /// The flights after a mark, oldest first.
    pub fn since(&self, mark: usize) -> Vec<Flight> {
        self.shared.lock_flights()[mark..].to_vec()
    }
}

impl Shared {
    fn lock_flights(&self) -> std::sync::MutexGuard<'_, Vec<Flight>> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
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

async fn accept(listener: TcpListener, server: Server, shared: Arc<Shared>, stop: CancellationToken) {
    while let Ok((client, _)) = listener.accept().await {
        client.set_nodelay(true).unwrap();
        let (server, shared) = (server.clone(), shared.clone());
        let serving = async move {
            match server {
                Server::Socket(path) => {
                    relay(client, UnixStream::connect(path).await.unwrap(), &shared).await;
                }
                Server::Tcp(address) => {
                    relay(client, TcpStream::connect(address).await.unwrap(), &shared).await;
                }
            }
        };
        #[expect(clippy::disallowed_methods, reason = "the drop guard of the proxy ends it")]
        tokio::spawn(stop.clone().run_until_cancelled_owned(serving));
    }
}

/// Until either side has ended.
async fn relay(client: TcpStream, server: impl AsyncRead + AsyncWrite, shared: &Shared) {
    let spell = shared.spell.lock().unwrap().clone();
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = tokio::io::split(server);
    let link = Link::default();
    tokio::select! {
        () = up(from_client, to_server, shared, &link) => {}
        () = down(from_server, to_client, shared, &link) => {}
        () = spell.silent.cancelled() => spell.over.cancelled().await,
    }
    // What was still open is not waited for.
    link.close(usize::MAX).iter().for_each(|_| shared.waves.give_up());
}

/// What the two directions of a connection know of each other.
#[derive(Default)]
struct Link {
    /// Flights without an answer, in order, with their questions if they are in a wave.
    open: Mutex<VecDeque<Option<Question>>>,
    /// Nothing is passed on to the client any more, which waits here.
    muted: Mutex<Option<Stall>>,
}

impl Link {
    /// Takes so many flights off, and returns the questions among them.
    fn close(&self, answers: usize) -> Vec<Question> {
        let mut open = self.open.lock().unwrap();
        // The server is ready once without being asked, at the beginning.
        let answers = answers.min(open.len());
        open.drain(..answers).flatten().collect()
    }

    fn is_waited_for(&self) -> bool {
        self.open.lock().unwrap().iter().any(Option::is_some)
    }
}

async fn up(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, shared: &Shared, link: &Link) {
    let mut reader = ClientReader::default();
    let mut buffer = vec![0; 64 << 10];
    let mut is_swallowed = false;
    while let Ok(size @ 1..) = from.read(&mut buffer).await {
        shared.waves.note_said();
        let mut found = reader.read(&buffer[..size]);
        match shared.stalls.take(&found) {
            Some((Side::Before, stall)) => {
                is_swallowed = true;
                stall.0.cancel();
            }
            Some((Side::After, stall)) => *link.muted.lock().unwrap() = Some(stall),
            None => {}
        }
        if is_swallowed {
            continue;
        }
        for flight in &mut found {
            // To prepare and to forget is not to ask. Who asks before the last answer is there, because nobody waits for that
            // any more, gets this one with it.
            let is_question = !flight.is_preparation && !flight.sql.is_empty() && !link.is_waited_for();
            flight.wave = shared.waves.current();
            let question = if is_question { shared.waves.ask() } else { None };
            link.open.lock().unwrap().push_back(question);
        }
        shared.lock_flights().extend(found);
        if to.write_all(&buffer[..size]).await.is_err() {
            return;
        }
    }
}

async fn down(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    shared: &Shared,
    link: &Link,
) {
    let mut reader = ServerReader::default();
    let mut buffer = vec![0; 64 << 10];
    let mut held = Vec::new();
    while let Ok(size @ 1..) = from.read(&mut buffer).await {
        let answers = reader.read(&buffer[..size]);
        let questions = link.close(answers);
        if let Some(stall) = link.muted.lock().unwrap().as_ref() {
            if answers > 0 {
                stall.0.cancel();
            }
            questions.iter().for_each(|_| shared.waves.give_up());
            continue;
        }
        held.extend_from_slice(&buffer[..size]);
        match questions.as_slice() {
            // In the midst of an answer that is held as a whole.
            [] if link.is_waited_for() => continue,
            [] => {}
            [rest @ .., last] => {
                rest.iter().for_each(|_| shared.waves.give_up());
                shared.waves.hold(*last).await;
            }
        }
        if to.write_all(&held).await.is_err() {
            return;
        }
        held.clear();
    }
}
