//! Hints between the processes of one database, by LISTEN and NOTIFY: "look now" and nothing else.
//!
//! A process has one connection for it, which says and hears. Nobody may rely on a hint: it carries no data, several
//! become one, and it may be lost. Who is told to look reads again what it follows, and looks by itself at its own pace
//! too, so that everything works without hints, only later.
//!
//! - LISTEN comes first on a new connection, and then everybody is told to look: what was said meanwhile is not missed.
//! - A hint is never part of a transaction of the product: NOTIFY takes a lock of the whole database at the commit.
//! - Every five seconds the connection says something to itself. When that is not heard, because the network has gone
//!   without a word or something in between does not pass notifications on, it is made anew.
//!
//! Nothing queues up on the way out: a channel is either to be mentioned or not. What comes in is read at once.

use std::{
    fmt::Write,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use diesel::{QueryResult, pg::PgNotification};
use diesel_async::{AsyncPgConnection, SimpleAsyncConnection};
use futures_util::StreamExt;
use rand::RngExt;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::connect::Target;
use crate::platform::{
    metrics::names,
    tasks::{Tasks, every},
};

/// Pace at which the connection speaks to itself; it is silent for no longer than two of these.
const PULSE: Duration = Duration::from_secs(5);
/// A connection or a statement that takes longer has failed.
const LIMIT: Duration = Duration::from_secs(5);
/// What is said within so short a time after something was said becomes one statement.
const PAUSE: Duration = Duration::from_millis(20);
/// Shortest and longest wait before the next attempt to connect.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// What a hint is about. `ALL` has every channel at the place of its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// There are jobs to claim.
    Jobs,
    /// A cached thing has changed or a session has ended.
    Control,
    /// A conversation has a new entry in its log, or is gone.
    Conversations,
    /// A run has changed.
    Generations,
}

impl Channel {
    const ALL: [Self; 4] = [Self::Jobs, Self::Control, Self::Conversations, Self::Generations];

    /// Name of the channel in PostgreSQL.
    fn name(self) -> &'static str {
        match self {
            Self::Jobs => "loquent_jobs",
            Self::Control => "loquent_control",
            Self::Conversations => "loquent_conversations",
            Self::Generations => "loquent_generations",
        }
    }

    fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// Gives and takes hints; clones share the connection.
#[derive(Clone)]
pub struct Hints(Arc<Shared>);

struct Shared {
    /// Tells hints of this process from those of others: a name drawn at random.
    me: String,
    is_on: bool,
    looks: [watch::Sender<()>; Channel::ALL.len()],
    /// Channels to be mentioned, as bits.
    unsaid: AtomicU32,
    wanted: Notify,
    /// Since when the connection is away; `None` while it hears.
    away_since: watch::Sender<Option<Instant>>,
}

impl Hints {
    /// Neither says nor hears anything of other processes; hints within the process work.
    pub fn off() -> Self {
        Self::new(false)
    }

    /// Connects in the background, again and again, until `stop` is cancelled.
    ///
    /// # Errors
    /// Those of [`Target::parse`].
    pub fn start(url: &str, tasks: &Tasks, stop: CancellationToken) -> anyhow::Result<Self> {
        let target = Target::parse(url)?;
        let this = Self::new(true);
        let listener = Listener { target, shared: Arc::clone(&this.0) };
        tasks.spawn_until(stop, async move { listener.run().await });
        Ok(this)
    }

    fn new(is_on: bool) -> Self {
        Self(Arc::new(Shared {
            me: format!("{:032x}", rand::random::<u128>()),
            is_on,
            looks: std::array::from_fn(|_| watch::Sender::new(())),
            unsaid: AtomicU32::new(0),
            wanted: Notify::new(),
            away_since: watch::Sender::new(Some(Instant::now())),
        }))
    }

    /// Tells everybody, in this process at once and in others soon or never, to look. Call it after the commit of what
    /// there is to see; it neither waits nor fails.
    pub fn send(&self, channel: Channel) {
        self.0.look(channel);
        self.send_to_others(channel);
    }

    /// The same for other processes alone, when those of this one know already.
    pub fn send_to_others(&self, channel: Channel) {
        if self.0.is_on {
            self.0.unsaid.fetch_or(channel.bit(), Ordering::AcqRel);
            self.0.wanted.notify_one();
        }
    }

    /// Hears of a channel from now on.
    pub fn subscribe(&self, channel: Channel) -> Looks {
        Looks(self.0.looks[channel as usize].subscribe())
    }

    /// False when hints to and from other processes are switched off.
    pub fn is_on(&self) -> bool {
        self.0.is_on
    }

    /// How long nothing has been heard from other processes; `None` while they are heard.
    pub fn outage(&self) -> Option<Duration> {
        self.0.away_since.borrow().map(|since| since.elapsed())
    }
}

/// One who is told to look.
pub struct Looks(watch::Receiver<()>);

impl Looks {
    /// Forgets the hints so far: whoever looks now sees what they were about.
    pub fn mark_seen(&mut self) {
        self.0.mark_unchanged();
    }

    /// Completes when there was a hint since the last call, or a reason to fear that one was missed. Can be dropped and
    /// called again.
    pub async fn next(&mut self) {
        if self.0.changed().await.is_err() {
            // Nobody is left to say anything.
            std::future::pending::<()>().await;
        }
    }
}

impl Shared {
    fn look(&self, channel: Channel) {
        self.looks[channel as usize].send_replace(());
    }

    /// The connection has heard itself, or it is gone.
    fn set_heard(&self, is_heard: bool) {
        names::LISTENER_CONNECTED.set([], if is_heard { 1.0 } else { 0.0 });
        self.away_since.send_if_modified(|since| {
            let is_change = since.is_none() != is_heard;
            if is_change {
                *since = (!is_heard).then(Instant::now);
            }
            is_change
        });
    }
}

/// The task behind [`Hints`].
struct Listener {
    target: Target,
    shared: Arc<Shared>,
}

impl Listener {
    async fn run(&self) {
        let mut attempts = 0;
        loop {
            let reason = match self.listen(&mut attempts).await {
                Ok(never) => match never {},
                Err(error) => error,
            };
            self.shared.set_heard(false);
            // Once an outage; the metric and /health have the rest.
            if attempts == 0 {
                tracing::warn!(
                    error = format!("{reason:#}"),
                    "hints of other processes are not heard; what they change is seen a little later"
                );
            }
            names::LISTENER_FAILURES.add([], 1);
            sleep(wait(attempts)).await;
            attempts = attempts.saturating_add(1);
        }
    }

    /// Makes a connection and serves it to its end. The count of attempts starts anew when it is heard.
    async fn listen(&self, attempts: &mut u32) -> anyhow::Result<std::convert::Infallible> {
        let mut conn = timeout(LIMIT, self.target.connect()).await??;
        let pulse = format!("loquent_pulse_{}", self.shared.me);
        // A hint is worth no wait for the disk. LISTEN comes before anybody looks.
        let mut begin =
            format!("SET synchronous_commit = off; SET statement_timeout = '5s'; LISTEN {pulse};");
        for channel in Channel::ALL {
            write!(begin, " LISTEN {};", channel.name())?;
        }
        timeout(LIMIT, conn.batch_execute(&begin)).await??;
        Channel::ALL.into_iter().for_each(|channel| self.shared.look(channel));
        let mut ticks = every(PULSE);
        let mut is_answer_due = false;
        loop {
            tokio::select! {
                heard = next(&mut conn) => {
                    let heard = heard?;
                    if heard.channel == pulse {
                        (is_answer_due, *attempts) = (false, 0);
                        self.shared.set_heard(true);
                    } else {
                        self.hear(&heard);
                    }
                }
                _ = ticks.tick() => {
                    anyhow::ensure!(!is_answer_due, "the connection does not hear itself");
                    is_answer_due = true;
                    timeout(LIMIT, conn.batch_execute(&format!("NOTIFY {pulse}"))).await??;
                }
                () = self.shared.wanted.notified() => self.say(&mut conn).await?,
            }
        }
    }

    fn hear(&self, heard: &PgNotification) {
        // What this process said, it has heard already.
        if heard.payload == self.shared.me {
            return;
        }
        if let Some(channel) = Channel::ALL.into_iter().find(|channel| channel.name() == heard.channel) {
            self.shared.look(channel);
        }
    }

    /// Says all there is to say in one statement.
    async fn say(&self, conn: &mut AsyncPgConnection) -> anyhow::Result<()> {
        let unsaid = self.shared.unsaid.swap(0, Ordering::AcqRel);
        let mut statement = String::new();
        for channel in Channel::ALL.into_iter().filter(|channel| unsaid & channel.bit() != 0) {
            write!(statement, "NOTIFY {}, '{}'; ", channel.name(), self.shared.me)?;
        }
        if !statement.is_empty() {
            timeout(LIMIT, conn.batch_execute(&statement)).await??;
            // What comes up meanwhile goes together.
            sleep(PAUSE).await;
        }
        Ok(())
    }
}

/// Tells all processes once, for a command that ends at once and has no [`Hints`]. Not within a transaction.
pub async fn send_once(conn: &mut AsyncPgConnection, channel: Channel) -> QueryResult<()> {
    conn.batch_execute(&format!("NOTIFY {}", channel.name())).await
}

/// The next notification. Can be dropped without losing one.
async fn next(conn: &mut AsyncPgConnection) -> anyhow::Result<PgNotification> {
    let notification: Option<QueryResult<PgNotification>> =
        std::pin::pin!(conn.notifications_stream()).next().await;
    Ok(notification.ok_or_else(|| anyhow::anyhow!("the server ended the connection"))??)
}

/// Doubles with every attempt up to a limit, and is never the same for two processes.
fn wait(attempts: u32) -> Duration {
    let (shortest, longest) = RETRY;
    let most = shortest.saturating_mul(2_u32.saturating_pow(attempts.min(16))).min(longest);
    rand::rng().random_range(most / 2..=most)
}
