//! Those at whom nobody looks.

use diesel_async::AsyncPgConnection;
use tokio::time::Instant;
use uuid::Uuid;

use super::{Subscriptions, repo};
use crate::{
    domains::credits,
    error::{ErrorCode, Result},
};

/// Accounts that are read at a time.
const PAGE: i64 = 500;

/// How a round over all that is due went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Round {
    pub done: usize,
    /// Left as they are, with a line in the log.
    pub failed: usize,
    /// False when the time was over before all had their turn.
    pub is_complete: bool,
}

/// Where accounts with something to do are found.
#[derive(Debug, Clone, Copy)]
enum Place {
    /// Periods and loans that are over.
    Subscriptions,
    /// Grants that are over between two periods.
    Grants,
}

impl Place {
    /// The next page: where the one after it goes on, and the account.
    async fn page(self, conn: &mut AsyncPgConnection, after: Uuid) -> Result<Vec<(Uuid, Uuid)>> {
        Ok(match self {
            Self::Subscriptions => repo::list_due_unscoped(conn, after, PAGE).await?,
            Self::Grants => {
                let accounts = credits::list_with_expired(conn, after, PAGE).await?;
                accounts.into_iter().map(|account| (account, account)).collect()
            }
        })
    }
}

impl Subscriptions {
    /// Brings all that are due up to date, until `deadline`. One that fails stays behind, and the others go on.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn renew_due(&self, deadline: Instant) -> Result<Round> {
        let mut round = Round::default();
        for place in [Place::Subscriptions, Place::Grants] {
            let mut after = Uuid::nil();
            loop {
                let page = place.page(&mut *self.db.conn().await?, after).await?;
                let Some((last, _)) = page.last() else { break };
                after = *last;
                for (_, account_id) in page {
                    if Instant::now() >= deadline {
                        return Ok(round);
                    }
                    self.renew_one(account_id, &mut round).await?;
                }
            }
        }
        Ok(Round { is_complete: true, ..round })
    }

    async fn renew_one(&self, account_id: Uuid, round: &mut Round) -> Result<()> {
        match self.bring_up_to_date(account_id).await {
            Ok(_) => round.done += 1,
            Err(error) if error.code() == ErrorCode::ServiceUnavailable => return Err(error),
            // An account may have gone since the page was read.
            Err(error) if error.code() == ErrorCode::NotFound => {}
            Err(error) => {
                round.failed += 1;
                tracing::error!(account = %account_id, error = error.chain(), "a subscription was not renewed");
            }
        }
        Ok(())
    }
}
