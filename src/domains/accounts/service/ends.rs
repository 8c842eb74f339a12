//! How the end of a session reaches those who believe in it: the memory of checked sessions, sockets and streams. One way
//! for all of them, whether it was ended here or on another process.

use async_trait::async_trait;
use tokio::sync::broadcast;
use uuid::Uuid;

use super::Accounts;
use crate::platform::postgres::{listen::Channel, news::OnRevocation, revocations::Subject};

/// What watchers of sessions are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// This session.
    Session(Uuid),
    /// Sessions of this person, but not those that began later: ask which.
    SomeOf(Uuid),
    /// Any session may have: ask.
    Perhaps,
    /// Nobody knows, and not for a moment only: come back later.
    OutOfSight,
}

impl Accounts {
    /// Ends of sessions from now on, those of other processes included.
    pub fn ended_sessions(&self) -> broadcast::Receiver<Ended> {
        self.ended_sessions.subscribe()
    }

    /// After the commit that ended sessions: this process knows at once, the others are told to look.
    pub(super) async fn forget(&self, sessions: &[Uuid]) {
        for session in sessions {
            self.live_sessions.invalidate(session).await;
            self.say(Ended::Session(*session));
        }
        self.hints.send(Channel::Control);
    }

    fn say(&self, ended: Ended) {
        // No receiver means no socket to close.
        let _ = self.ended_sessions.send(ended);
    }
}

#[async_trait]
impl OnRevocation for Accounts {
    async fn revoked(&self, subject: Subject) {
        match subject {
            Subject::Session(id) => {
                self.live_sessions.invalidate(&id).await;
                self.say(Ended::Session(id));
            }
            // All of the memory, which is made anew every few seconds anyway: it is not ordered by people.
            Subject::User(id) => {
                self.live_sessions.invalidate_all();
                self.say(Ended::SomeOf(id));
            }
        }
    }

    async fn doubted(&self) {
        self.live_sessions.invalidate_all();
        self.say(Ended::Perhaps);
    }

    async fn lost_sight(&self) {
        self.live_sessions.invalidate_all();
        self.say(Ended::OutOfSight);
    }
}
