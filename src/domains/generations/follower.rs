//! The answers that are watched here and written elsewhere. One task a process reads the news of all of them by one
//! statement a look, and passes them on as the run itself would; so a watcher cannot tell where the run is, and what the
//! database is asked does not depend on how many watch. While nobody watches, nothing is asked.
//!
//! Listening comes before reading here too: a topic exists from the moment somebody listens, and is looked after from
//! the point that the first of them has read to. What that brings twice is dropped by its sequence.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{
    Notify,
    broadcast::{Receiver, Sender},
};
use uuid::Uuid;

use super::{
    bounds,
    hub::Signal,
    model::Finished,
    patience::Patience,
    repo::{self, News, Watched},
};
use crate::{
    error::{AppError, Result},
    platform::{postgres::Db, tasks::every},
};

/// Who listens to what; clones share it.
#[derive(Clone, Default)]
pub struct Follower(Arc<Shared>);

#[derive(Default)]
struct Shared {
    topics: Mutex<HashMap<Uuid, Topic>>,
    /// Somebody listens who did not before.
    wake: Notify,
}

struct Topic {
    signals: Sender<Signal>,
    /// Number of the last event that all who listen have, or were sent; `None` until the first of them has read.
    known: Option<i32>,
}

/// What a look asks for, as parallel columns.
#[derive(Default)]
struct Question {
    message_ids: Vec<Uuid>,
    known: Vec<i32>,
}

impl Follower {
    /// Listens to a message that is not written here. Say with [`Self::follow`] what has been read after that.
    ///
    /// # Errors
    /// `SERVICE_UNAVAILABLE` when the process follows as many as it can.
    pub fn listen(&self, message_id: Uuid) -> Result<Receiver<Signal>> {
        let mut topics = self.lock();
        if topics.len() >= bounds::MAX_FOLLOWED && !topics.contains_key(&message_id) {
            drop_unheard(&mut topics);
            if topics.len() >= bounds::MAX_FOLLOWED {
                return Err(AppError::unavailable(anyhow::anyhow!("too many answers of others are watched")));
            }
        }
        let topic = topics
            .entry(message_id)
            .or_insert_with(|| Topic { signals: Sender::new(bounds::WATCHER_BUFFER), known: None });
        let signals = topic.signals.subscribe();
        self.0.wake.notify_one();
        Ok(signals)
    }

    /// Somebody who listens has everything up to `position`, and wants what comes after.
    pub fn follow(&self, message_id: Uuid, position: i32) {
        if let Some(topic) = self.lock().get_mut(&message_id) {
            // Who has read before the others is sent the difference, which they drop.
            topic.known = Some(topic.known.map_or(position, |known| known.min(position)));
        }
    }

    /// Looks until it is dropped.
    pub async fn run(self, db: Db) {
        let mut ticks = every(bounds::FOLLOW_PACE);
        let mut patience = Patience::new(bounds::FOLLOW_PACE);
        loop {
            ticks.tick().await;
            let Some(question) = self.question() else {
                self.0.wake.notified().await;
                continue;
            };
            if question.message_ids.is_empty() {
                continue;
            }
            match self.look(&db, &question).await {
                Ok(()) => patience = Patience::new(bounds::FOLLOW_PACE),
                Err(error) => {
                    tracing::debug!(error = error.chain(), "no news of answers of other processes");
                    if !patience.wait().await {
                        // Each who listens now asks for itself, and is told what is wrong.
                        self.lock().clear();
                        patience = Patience::new(bounds::FOLLOW_PACE);
                    }
                }
            }
        }
    }

    /// What there is to look for; `None` when nobody listens to anything.
    fn question(&self) -> Option<Question> {
        let mut topics = self.lock();
        drop_unheard(&mut topics);
        let mut question = Question::default();
        for (message_id, topic) in topics.iter() {
            if let Some(known) = topic.known {
                question.message_ids.push(*message_id);
                question.known.push(known);
            }
        }
        (!topics.is_empty()).then_some(question)
    }

    async fn look(&self, db: &Db, question: &Question) -> Result<()> {
        let Question { message_ids, known } = question;
        let events = i64::try_from(bounds::MAX_EVENTS).unwrap_or(i64::MAX);
        let news = db.within(bounds::FOLLOW_LIMIT, async |conn| {
            Ok(repo::list_news_unscoped(conn, message_ids, known, events, bounds::MAX_NEWS_BYTES).await?)
        });
        let over = self.pass_on(question, news.await?);
        if over.is_empty() {
            return Ok(());
        }
        let ends = db
            .within(bounds::FOLLOW_LIMIT, async |conn| Ok(repo::list_ends_unscoped(conn, &over).await?))
            .await?;
        self.end(&over, ends);
        Ok(())
    }

    /// Sends the events to those who listen. Returns the messages of which there is nothing more to come but the end.
    fn pass_on(&self, question: &Question, news: Vec<News>) -> Vec<Uuid> {
        let asked: HashMap<Uuid, i32> =
            question.message_ids.iter().copied().zip(question.known.iter().copied()).collect();
        let bytes: usize = news.iter().flat_map(|news| &news.events).map(|event| event.text.len()).sum();
        let is_all = i64::try_from(bytes).is_ok_and(|bytes| bytes < bounds::MAX_NEWS_BYTES);
        let mut over = Vec::new();
        let mut topics = self.lock();
        for News { message_id, is_over, events } in news {
            let Some(topic) = topics.get_mut(&message_id) else { continue };
            // Somebody came meanwhile who has less: the next look begins there.
            if topic.known != asked.get(&message_id).copied() {
                continue;
            }
            if is_over && is_all && events.len() < bounds::MAX_EVENTS && over.len() < bounds::MAX_ENDS {
                over.push(message_id);
            }
            for event in events {
                topic.known = Some(event.sequence);
                // They may all have gone, which is fine.
                let _ = topic.signals.send(Signal::Delta(Arc::new(event)));
            }
        }
        over
    }

    /// Sends the ends. Without one the message is gone, which those who listen find out when they read again.
    fn end(&self, over: &[Uuid], ends: Vec<Watched>) {
        let mut ends: HashMap<Uuid, Watched> = ends.into_iter().map(|end| (end.message.id, end)).collect();
        let mut topics = self.lock();
        for message_id in over {
            let Some(topic) = topics.remove(message_id) else { continue };
            let Some(Watched { message, generation: Some(generation), balance, .. }) =
                ends.remove(message_id)
            else {
                continue;
            };
            let finished = Finished { message, generation, balance };
            let _ = topic.signals.send(Signal::Finished(Arc::new(finished)));
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, Topic>> {
        self.0.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn drop_unheard(topics: &mut HashMap<Uuid, Topic>) {
    topics.retain(|_, topic| topic.signals.receiver_count() > 0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domains::generations::model::{Delta, PartKind};

    fn news(message_id: Uuid, sequences: std::ops::RangeInclusive<i32>, text: &str, is_over: bool) -> News {
        let event = |sequence| Delta { sequence, part_index: 0, kind: PartKind::Text, text: text.to_owned() };
        News { message_id, is_over, events: sequences.map(event).collect() }
    }

    fn heard(signals: &mut Receiver<Signal>) -> Vec<i32> {
        let signals = std::iter::from_fn(|| signals.try_recv().ok());
        signals
            .filter_map(|signal| if let Signal::Delta(delta) = signal { Some(delta.sequence) } else { None })
            .collect()
    }

    #[test]
    fn what_is_asked_begins_with_a_reading_and_ends_with_the_last_who_listens() {
        let follower = Follower::default();
        let id = Uuid::from_u128(1);
        assert!(follower.question().is_none());
        let mut first = follower.listen(id).unwrap();
        assert!(follower.question().is_some_and(|question| question.known.is_empty()), "nobody has read");
        follower.follow(id, 4);
        let question = follower.question().unwrap();
        assert_eq!(question.known, [4]);
        // Another has read less by the time the answer is there: it is not left with a hole.
        let mut second = follower.listen(id).unwrap();
        follower.follow(id, 3);
        assert!(follower.pass_on(&question, vec![news(id, 5..=6, "", true)]).is_empty());
        assert_eq!((heard(&mut first), heard(&mut second)), (vec![], vec![]));
        let question = follower.question().unwrap();
        assert_eq!(follower.pass_on(&question, vec![news(id, 4..=6, "", true)]), [id]);
        assert_eq!((heard(&mut first), heard(&mut second)), (vec![4, 5, 6], vec![4, 5, 6]));
        drop((first, second));
        assert!(follower.question().is_none());
    }

    #[test]
    fn an_end_waits_for_what_did_not_fit_into_the_look() {
        let follower = Follower::default();
        let (id, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let _signals = [follower.listen(id).unwrap(), follower.listen(other).unwrap()];
        follower.follow(id, 0);
        follower.follow(other, 0);
        let many = i32::try_from(bounds::MAX_EVENTS).unwrap();
        let over = follower.pass_on(
            &follower.question().unwrap(),
            vec![news(id, 1..=many, "", true), news(other, 1..=1, "", true)],
        );
        assert_eq!(over, [other]);
        let text = "x".repeat(usize::try_from(bounds::MAX_NEWS_BYTES).unwrap());
        let over =
            follower.pass_on(&follower.question().unwrap(), vec![news(id, many + 1..=many + 1, &text, true)]);
        assert!(over.is_empty());
        let nothing = News { message_id: id, is_over: true, events: Vec::new() };
        assert_eq!(follower.pass_on(&follower.question().unwrap(), vec![nothing]), [id]);
        follower.end(&[id], Vec::new());
        assert_eq!(follower.lock().len(), 1, "a message that is gone is followed no more");
    }

    #[test]
    fn messages_are_bounded_and_those_that_nobody_hears_make_room() {
        let follower = Follower::default();
        let limit = u128::try_from(bounds::MAX_FOLLOWED).unwrap();
        let mut signals: Vec<_> =
            (0..limit).map(|id| follower.listen(Uuid::from_u128(id)).unwrap()).collect();
        assert!(follower.listen(Uuid::from_u128(limit)).is_err());
        assert!(follower.listen(Uuid::from_u128(0)).is_ok());
        signals.pop();
        assert!(follower.listen(Uuid::from_u128(limit)).is_ok());
    }
}
