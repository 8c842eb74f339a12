//! Watching a message. One path for every reader: listen first, then read the message and its log in one round trip,
//! then follow. Where the run is decides only who tells the reader: the run itself when it is here, the follower of the
//! process when it is not. A reader that falls behind, or finds a hole, starts over from a snapshot. One that has begun
//! waits for a database that is away, wherever the run is.

use std::sync::Arc;

use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::BoxStream};
use tokio::sync::broadcast::{Receiver, error::RecvError};
use uuid::Uuid;

use super::{
    bounds,
    follower::Follower,
    hub::{Hub, Signal},
    model::{Content, Delta, Finished},
    patience::Patience,
    repo::{self, Watched},
};
use crate::{
    domains::conversations::MessageRow,
    error::{AppError, ErrorCode, Result},
    platform::postgres::Db,
};

/// What a watcher gets.
#[derive(Debug, Clone)]
pub enum WatchEvent {
    /// Replaces everything the client has. In a box: a watcher that waits has room for an event in many places.
    Snapshot(Box<Snapshot>),
    Delta(Arc<Delta>),
    /// The last event.
    Finished(Arc<Finished>),
}

/// A message as far as it is written.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub message: MessageRow,
    pub content: Content,
}

/// Begins to watch; `None` when the viewer may not read the message.
pub async fn watch(
    db: Db,
    (hub, follower): (Hub, Follower),
    viewer: Uuid,
    message_id: Uuid,
    after: Option<i32>,
) -> Result<Option<BoxStream<'static, Result<WatchEvent>>>> {
    if after.is_some_and(|after| after < 0) {
        return Err(AppError::new(
            ErrorCode::BadUserInput,
            "`after` is the sequence of an event, 0 or more.",
        ));
    }
    let mut reader = Reader { db, hub, follower, viewer, message_id, position: after };
    let Some(first) = reader.read().await? else { return Ok(None) };
    let events = async_stream::try_stream! {
        let mut step = Some(first);
        while let Some(Step { events, then }) = step {
            for event in events {
                yield event;
            }
            step = match then {
                Then::End => None,
                Then::Follow(mut signals) => {
                    // Live events go out one by one; anything else means reading again.
                    loop {
                        match reader.next_live(&mut signals).await {
                            Live::Event(event) => yield event,
                            Live::Last(event) => {
                                yield event;
                                break None;
                            }
                            Live::ReadAgain => break reader.read_again().await?,
                        }
                    }
                }
            };
        }
    };
    Ok(Some(events.boxed()))
}

struct Reader {
    db: Db,
    hub: Hub,
    follower: Follower,
    viewer: Uuid,
    message_id: Uuid,
    /// Number of the newest event delivered; `None` asks for a snapshot.
    position: Option<i32>,
}

/// What one read brought, and how it goes on.
struct Step {
    events: Vec<WatchEvent>,
    then: Then,
}

enum Then {
    Follow(Receiver<Signal>),
    End,
}

enum Live {
    Event(WatchEvent),
    Last(WatchEvent),
    ReadAgain,
}

impl Reader {
    /// Reads on, after an outage of the database too. Boxed, because a watcher mostly waits, and would be as large as its
    /// reading.
    fn read_again(&mut self) -> BoxFuture<'_, Result<Option<Step>>> {
        let reading = async {
            let mut patience = Patience::new(bounds::OUTAGE_PAUSE);
            loop {
                match self.read().await {
                    Err(error) if error.code() == ErrorCode::ServiceUnavailable && patience.wait().await => {}
                    outcome => return outcome,
                }
            }
        };
        reading.boxed()
    }

    /// Listens, then reads; `None` when the message is gone.
    async fn read(&mut self) -> Result<Option<Step>> {
        if let Some(signals) = self.hub.subscribe(self.message_id) {
            return self.read_under(signals).await;
        }
        let signals = self.follower.listen(self.message_id)?;
        let step = self.read_under(signals).await?;
        if let Some(Step { then: Then::Follow(_), .. }) = step {
            self.follower.follow(self.message_id, self.position.unwrap_or(0));
        }
        Ok(step)
    }

    async fn read_under(&mut self, signals: Receiver<Signal>) -> Result<Option<Step>> {
        let Some(watched) = self.find(self.position.unwrap_or(0)).await? else { return Ok(None) };
        let then = Then::Follow(signals);
        if watched.message.status().is_terminal() {
            return Ok(Some(self.finished(watched)));
        }
        match self.position {
            Some(position) if is_dense(position, &watched) => {
                self.position = Some(watched.newest.max(position));
                let events =
                    watched.events.into_iter().map(|event| WatchEvent::Delta(Arc::new(event))).collect();
                Ok(Some(Step { events, then }))
            }
            Some(_) => {
                // The log cannot continue from there: read all of it for a snapshot, under the same subscription.
                let Some(watched) = self.find(0).await? else { return Ok(None) };
                if watched.message.status().is_terminal() {
                    self.position = None;
                    return Ok(Some(self.finished(watched)));
                }
                Ok(Some(Step { events: vec![self.snapshot(watched)], then }))
            }
            None => Ok(Some(Step { events: vec![self.snapshot(watched)], then })),
        }
    }

    async fn find(&self, after: i32) -> Result<Option<Watched>> {
        let mut conn = self.db.conn().await?;
        Ok(repo::find_watched(&mut conn, self.viewer, self.message_id, after).await?)
    }

    fn snapshot(&mut self, watched: Watched) -> WatchEvent {
        let content = Content::of_events(&watched.events);
        self.position = Some(content.sequence);
        WatchEvent::Snapshot(Box::new(Snapshot { message: watched.message, content }))
    }

    /// A finished message: what is missing before the end, or a snapshot, then the end; nothing when the client has it.
    fn finished(&self, watched: Watched) -> Step {
        let last = watched.message.stream_sequence;
        let mut events = Vec::new();
        match self.position {
            Some(position) if position == last && last > 0 => {
                return Step { events, then: Then::End };
            }
            Some(position)
                if position < last && watched.newest + 1 == last && is_dense(position, &watched) =>
            {
                events.extend(watched.events.into_iter().map(|event| WatchEvent::Delta(Arc::new(event))));
            }
            _ => {
                let content =
                    Content { sequence: (last - 1).max(0), ..Content::of_finished(&watched.message) };
                let message = watched.message.clone();
                events.push(WatchEvent::Snapshot(Box::new(Snapshot { message, content })));
            }
        }
        if let Some(generation) = watched.generation {
            let finished = Finished { message: watched.message, generation, balance: watched.balance };
            events.push(WatchEvent::Finished(Arc::new(finished)));
        }
        Step { events, then: Then::End }
    }

    async fn next_live(&mut self, signals: &mut Receiver<Signal>) -> Live {
        loop {
            match signals.recv().await {
                Ok(Signal::Delta(delta)) => {
                    let position = self.position.unwrap_or(0);
                    if delta.sequence <= position {
                        continue;
                    }
                    if delta.sequence > position + 1 {
                        return Live::ReadAgain;
                    }
                    self.position = Some(delta.sequence);
                    return Live::Event(WatchEvent::Delta(delta));
                }
                Ok(Signal::Finished(finished)) => {
                    if self.position.unwrap_or(0) + 1 < finished.message.stream_sequence {
                        return Live::ReadAgain;
                    }
                    return Live::Last(WatchEvent::Finished(finished));
                }
                Err(RecvError::Lagged(_)) => {
                    // Too slow for single events: a snapshot is less than all that was missed.
                    self.position = None;
                    return Live::ReadAgain;
                }
                Err(RecvError::Closed) => return Live::ReadAgain,
            }
        }
    }
}

/// True when the events continue the position without a hole.
fn is_dense(position: i32, watched: &Watched) -> bool {
    let count = i32::try_from(watched.events.len()).unwrap_or(i32::MAX);
    position <= watched.newest
        && position + count == watched.newest
        && watched.events.first().is_none_or(|event| event.sequence == position + 1)
}

/// Waits a moment for the end of a run.
pub async fn wait_for_end(mut signals: Receiver<Signal>) -> Option<Arc<Finished>> {
    let end = async {
        loop {
            match signals.recv().await {
                Ok(Signal::Finished(finished)) => return Some(finished),
                Ok(Signal::Delta(_)) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    };
    tokio::time::timeout(bounds::CANCEL_PATIENCE, end).await.ok().flatten()
}
