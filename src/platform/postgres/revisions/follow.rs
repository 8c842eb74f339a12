//! The one way to follow what is watched: begin to listen, read, tell what is new, and read again after every change.

use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt, stream::BoxStream};
use tokio::time::{Instant, sleep};

use super::Watcher;
use crate::error::{ErrorCode, Result};

/// How long a watcher waits for a database that is away, and its pause between two questions.
const OUTAGE_PATIENCE: Duration = Duration::from_secs(30);
const OUTAGE_PACE: Duration = Duration::from_secs(1);

/// Reads what is watched, and knows what its watcher was told.
#[async_trait]
pub trait Reader: Send + 'static {
    type Event: Send + 'static;

    /// What is new since the last reading that succeeded; `None` when it is gone, or not the viewer's to see any more.
    async fn read(&mut self) -> Result<Option<Step<Self::Event>>>;
}

/// What one reading brought, and how it goes on.
pub struct Step<E> {
    pub events: Vec<E>,
    pub then: Then,
}

/// When to read again, once the events are delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// After a change.
    Wait,
    /// After a change, or after this time.
    WaitAtMost(Duration),
    /// At once: there is more.
    ReadOn,
    /// Never: nothing changes any more.
    End,
}

/// What a reader tells from now on; `None` when it finds nothing to begin with. Ends without an error when what is
/// watched is gone. Nothing is read ahead: whoever takes no events causes no reading.
///
/// # Errors
/// Those of the first reading; later ones come as items, and a database that is away is waited for.
pub async fn follow<R: Reader>(
    mut watcher: Watcher,
    mut reader: R,
) -> Result<Option<BoxStream<'static, Result<R::Event>>>> {
    let Some(first) = reader.read().await? else { return Ok(None) };
    let events = async_stream::try_stream! {
        let mut next = Some(first);
        while let Some(Step { events, then }) = next {
            for event in events {
                yield event;
            }
            match then {
                Then::Wait => watcher.changed().await,
                Then::WaitAtMost(time) => tokio::select! {
                    () = watcher.changed() => {}
                    () = sleep(time) => {}
                },
                Then::ReadOn => {}
                Then::End => break,
            }
            next = read_patiently(&mut reader).await?;
        }
    };
    Ok(Some(events.boxed()))
}

/// Reads, after an outage of the database too.
async fn read_patiently<R: Reader>(reader: &mut R) -> Result<Option<Step<R::Event>>> {
    let deadline = Instant::now() + OUTAGE_PATIENCE;
    loop {
        match reader.read().await {
            Err(error) if error.code() == ErrorCode::ServiceUnavailable && Instant::now() < deadline => {
                sleep(OUTAGE_PACE).await;
            }
            outcome => return outcome,
        }
    }
}
