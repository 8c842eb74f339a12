//! Every bound of turns, runs, the stream log and watchers, each with its reason, so that what a process can be made to hold
//! or to wait for is read in one place. What operators change is a setting (`[streams]`, `[limits]`, the ceilings of the
//! catalogue) and not here.

use std::time::Duration;

// --- A turn before it is accepted -----------------------------------------------------------------------------------

/// A turn whose conversation moved on while it was read, or a call whose window ended, is read and priced again so often.
/// More than a handful of people do not write into one conversation at once.
pub const MAX_READS: usize = 8;
/// Alternatives that one message may have: more than anybody looks through, and a page of them is one list.
pub const MAX_SIBLINGS: i64 = 100;
/// Turns of history that are read at most: the statement climbs one message a step.
pub const MAX_HISTORY: i32 = 256;
/// Most bytes of history that are read, whatever a model could take: a process reads many at a time.
pub const MAX_HISTORY_BYTES: u32 = 2 << 20;
/// Bytes of history that are read for each token of the largest context: English has four to five a token, where a provider
/// has counted.
pub const BYTES_OF_HISTORY: u32 = 5;
/// So many of the newest turns are looked through for a count by the provider: one answer in two turns, and some are
/// stopped, fail or come from another model.
pub const MAX_COUNTED: i32 = 8;
/// Most turns of a call outside any conversation, as many as a list of a document may have.
pub const MAX_TURNS: usize = 100;
/// How long a one-shot answer is kept after its end. Keys of idempotency live no longer, so a repeat finds it.
pub const ONE_SHOT_HOURS: i64 = 24;
/// Longest wait of a turn for the next identity of a process that was fenced: a caller has patience for a breath.
pub const RENEWAL_LIMIT: Duration = Duration::from_secs(5);

// --- A run ----------------------------------------------------------------------------------------------------------

/// Runs of one process at the same time; more are refused. Each has a connection to its provider and a buffer of watchers.
pub const MAX_RUNS: usize = 4096;
/// Longest answer in bytes, text and reasoning together: it is one row, and one event at its end.
pub const MAX_ANSWER: usize = 1 << 20;
/// Longest piece of text in one append, so that the buffer of the log is bounded in bytes too.
pub const MAX_PIECE: usize = 16 << 10;
/// Most tokens of a kind that a run stores, far beyond any real answer. What is charged is counted from the same number.
pub const MAX_COUNT: u32 = i32::MAX.unsigned_abs();
/// How long a cancel waits for the end it asked for; a stop takes half a second at most where nothing is wrong.
pub const CANCEL_PATIENCE: Duration = Duration::from_secs(2);

// --- The stream log -------------------------------------------------------------------------------------------------

/// Pieces of text that wait for a flush at most; beyond, runs wait, and their providers with them.
pub const BUFFER: usize = 1024;
/// Text in one flush at most, so that a statement fits into memory on both sides.
pub const MAX_BATCH_BYTES: usize = 4 << 20;
/// What follows a piece within so short a time came with it, and goes into the same flush: an answer that arrives at
/// once is one flush, and a first word after a silence still waits no longer than this.
pub const LULL: Duration = Duration::from_millis(1);
/// Pace of the lease, and of asking for stops, while runs are open: a stop from elsewhere is to end within half a second.
pub const BUSY_PULSE: Duration = Duration::from_millis(250);
/// The same while none is: a quarter of the usual lease.
pub const IDLE_PULSE: Duration = Duration::from_secs(2);
/// A flush that takes longer has failed, and is repeated: half a lease, so that the repeat comes in time, but within these.
pub const FLUSH_LIMITS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(20)];
/// The same for the last statement; the process waits for it.
pub const GOODBYE_LIMIT: Duration = Duration::from_secs(2);

// --- Watchers -------------------------------------------------------------------------------------------------------

/// Events a watcher may lag behind before it falls back to a snapshot: a few seconds of the fastest models.
pub const WATCHER_BUFFER: usize = 256;
/// How long those who read wait for a database that is away, from the first failure on.
pub const OUTAGE_LIMIT: Duration = Duration::from_secs(30);
/// First pause of a reader for which the database is away; it doubles.
pub const OUTAGE_PAUSE: Duration = Duration::from_millis(100);
/// Longest pause between two of its attempts.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Messages of other processes that one follows, as many as another may run; more are refused.
pub const MAX_FOLLOWED: usize = MAX_RUNS;
/// Pace of its looks: what text waits at most before it is read, and 20 statements a second and process.
pub const FOLLOW_PACE: Duration = Duration::from_millis(50);
/// A look that takes longer has failed.
pub const FOLLOW_LIMIT: Duration = Duration::from_secs(5);
/// Events of one message in a look: half of what a watcher may lag behind, and far more than a run says in that time.
pub const MAX_EVENTS: usize = WATCHER_BUFFER / 2;
/// Text of all messages in a look, so that its answer fits in memory; the rest comes with the next look.
pub const MAX_NEWS_BYTES: i64 = 1 << 20;
/// Ends in a look: each brings the whole text of an answer, of up to a mebibyte.
pub const MAX_ENDS: usize = 16;

// --- What dead processes left ---------------------------------------------------------------------------------------

/// Pace of the looks for it: a quarter of the usual lease, so that an end comes within 15 s of a death.
pub const SWEEP_PACE: Duration = Duration::from_secs(2);
/// Runs read at a time. Pages follow each other without a pause: after the lease of a process with thousands of runs only
/// seconds are left.
pub const SWEEP_PAGE: i64 = 200;
/// How many of them are ended at once, each with a connection of its own.
pub const SWEEP_AT_ONCE: usize = 4;
/// A round that takes longer, because the server is not heard of, is given up, its connections are closed, and the next
/// begins afresh.
pub const ROUND_LIMIT: Duration = Duration::from_secs(30);
/// An unfinished run of this process that nobody here runs is abandoned after so long.
pub const STALE_SECONDS: i64 = 10;

// --- Titles by a model ----------------------------------------------------------------------------------------------

/// Longest time for the model; the attempt has some more for what is before and after it.
pub const TITLE_LIMIT: Duration = Duration::from_secs(60);
/// The whole attempt.
pub const TITLE_JOB_LIMIT: Duration = Duration::from_secs(90);
/// Attempts, each of one call that may be charged.
pub const TITLE_ATTEMPTS: i16 = 3;
/// Most tokens of a title, with room for models that think first.
pub const TITLE_TOKENS: u32 = 256;
/// What of a message the model sees, in characters: enough to tell what it is about.
pub const TITLE_SHOWN: usize = 2_000;
/// Longest title, in characters: one line of a list.
pub const TITLE_CHARS: usize = 60;
