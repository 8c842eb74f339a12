//! Watching a run: its state now, then each newer one until it has ended; and who is told when a turn changes something.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use uuid::Uuid;

use super::{Generations, model::GenerationRow, repo};
use crate::{
    domains::{accounts::Viewer, conversations::ConversationWatch, credits::AccountWatch},
    error::Result,
    platform::postgres::{
        Db,
        revisions::{Reader, RevisionWatch, Step, Then, follow},
    },
};

/// The runs that are watched in this process.
pub type GenerationWatch = RevisionWatch<repo::WatchedGenerations>;

/// Everything that a turn changes and somebody may watch.
#[derive(Clone)]
pub struct Watches {
    pub accounts: AccountWatch,
    pub conversations: ConversationWatch,
    pub generations: GenerationWatch,
}

impl Watches {
    /// After the commit of the beginning or the end of a run.
    pub fn hint(&self, generation: &GenerationRow) {
        self.accounts.hint(generation.account_id);
        self.generations.hint(generation.id);
        if let Some(id) = generation.conversation_id {
            self.conversations.hint(id);
        }
    }
}

impl Generations {
    /// The run as it is now, then each newer state, the last one when it has ended; `None` when it is not the viewer's.
    pub async fn watch_generation(
        &self,
        viewer: Viewer,
        id: Uuid,
    ) -> Result<Option<BoxStream<'static, Result<Arc<GenerationRow>>>>> {
        let watcher = self.watches.generations.watch(id)?;
        let (db, viewer) = (self.db.clone(), viewer.user_id);
        follow(watcher, RunReader { db, viewer, id, newest: 0 }).await
    }
}

struct RunReader {
    db: Db,
    viewer: Uuid,
    id: Uuid,
    /// Revision that was told last; the first is 1.
    newest: i32,
}

#[async_trait]
impl Reader for RunReader {
    type Event = Arc<GenerationRow>;

    async fn read(&mut self) -> Result<Option<Step<Arc<GenerationRow>>>> {
        let mut conn = self.db.conn().await?;
        let rows = repo::list_generations(&mut conn, self.viewer, &[self.id]).await?;
        Ok(rows.into_iter().next().map(|row| {
            let is_new = row.revision > self.newest;
            self.newest = self.newest.max(row.revision);
            let then = if row.finished_at.is_some() { Then::End } else { Then::Wait };
            Step { events: is_new.then(|| Arc::new(row)).into_iter().collect(), then }
        }))
    }
}
