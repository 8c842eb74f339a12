//! Answers that reach the client in waves: what it asks for while it waits for the same things is one wave, and nothing of
//! it is answered before all of it can be. Then the answers go out one after the other, each when the client has done all
//! that it could with the one before. So how often a client waits for the database, and what it asks, does not depend on
//! how fast the machine is: a question is never joined to another because two answers happened to come at once.
//!
//! When a client has done all that it could is known without a clock: it must live in the runtime of the proxy, which has
//! one thread, and whatever is ready to run there does so before a yield comes back.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::sync::{oneshot, watch};

/// Turns of the runtime in which nothing is said. What comes over loopback is ready at the next turn, and there are a few
/// hops between an answer and the next question.
const CALM: usize = 30;
/// Longest wait for an answer of the server; then the wave goes without it, because it may wait for one of ours.
const LIMIT: Duration = Duration::from_secs(10);

#[derive(Default)]
pub(super) struct Waves {
    is_on: AtomicBool,
    /// Grows with everything that a client says.
    said: AtomicUsize,
    asked: AtomicUsize,
    answered: watch::Sender<usize>,
    /// The wave that gathers.
    current: AtomicUsize,
    /// Answers of this wave that are there, by the order of their questions.
    held: Mutex<Vec<(usize, oneshot::Sender<()>)>>,
}

/// A question, by its number.
#[derive(Debug, Clone, Copy)]
pub(super) struct Question(usize);

impl Waves {
    pub(super) fn note_said(&self) {
        self.said.fetch_add(1, SeqCst);
    }

    /// Number of the wave that gathers.
    pub(super) fn current(&self) -> usize {
        self.current.load(SeqCst)
    }

    /// Notes a question, once there are waves.
    pub(super) fn ask(&self) -> Option<Question> {
        if !self.is_on.load(SeqCst) {
            return None;
        }
        let order = self.asked.fetch_add(1, SeqCst);
        Some(Question(order))
    }

    /// A question that gets no answer.
    pub(super) fn give_up(&self) {
        self.answered.send_modify(|answered| *answered += 1);
    }

    /// Returns when the answer to a question may go out.
    pub(super) async fn hold(&self, question: Question) {
        let (sender, sent) = oneshot::channel();
        self.held.lock().unwrap().push((question.0, sender));
        self.give_up();
        // Without the sender there are no waves any more.
        let _ = sent.await;
    }

    /// Sends wave after wave.
    pub(super) async fn run(&self) {
        self.is_on.store(true, SeqCst);
        let mut answered = self.answered.subscribe();
        let mut gone = 0;
        loop {
            let _ = answered.wait_for(|answered| *answered > gone).await;
            self.calm().await;
            let all = answered.wait_for(|answered| *answered >= self.asked.load(SeqCst));
            let is_over = tokio::time::timeout(LIMIT, all).await.is_err();
            let said = self.said.load(SeqCst);
            self.calm().await;
            if !is_over && said != self.said.load(SeqCst) {
                continue;
            }
            gone = *answered.borrow();
            self.current.fetch_add(1, SeqCst);
            let mut held = std::mem::take(&mut *self.held.lock().unwrap());
            held.sort_by_key(|(order, _)| *order);
            for (_, sender) in held {
                // Whose connection has gone needs no answer.
                let _ = sender.send(());
                self.calm().await;
            }
        }
    }

    /// Returns when nothing was said for a while.
    async fn calm(&self) {
        let mut said = self.said.load(SeqCst);
        let mut turns = 0;
        while turns < CALM {
            tokio::task::yield_now().await;
            turns += 1;
            let now = self.said.load(SeqCst);
            if now != said {
                (said, turns) = (now, 0);
            }
        }
    }
}
