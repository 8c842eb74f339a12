//! What an account has, once what is due is done.

use uuid::Uuid;

use super::Subscriptions;
use crate::{
    domains::{
        credits::{self, AccountCounts, Balance, Limits, Quota, Standing},
        subscriptions::{InForce, Payer, repo},
    },
    error::{AppError, Result},
};

impl Subscriptions {
    /// An account from which the viewer may spend, once what is due is done.
    pub async fn payer(&self, viewer: Uuid, account_id: Uuid) -> Result<Payer> {
        let found = repo::find_payer(&mut *self.db.conn().await?, viewer, account_id).await?;
        let (sign_up, row, now) = found.ok_or_else(|| AppError::not_found("accountId", "account"))?;
        Ok(self.current_at(row, now).await?.into_payer(sign_up, now))
    }

    /// What an account may spend; `None` when its money is not the viewer's to see.
    pub async fn balance(&self, viewer: Uuid, account_id: Uuid) -> Result<Option<Balance>> {
        let standing = self.standing(viewer, account_id).await?;
        let Some(Standing { is_due: true, .. }) = standing else {
            return Ok(standing.map(|standing| standing.balance));
        };
        self.bring_up_to_date(account_id).await?;
        Ok(self.standing(viewer, account_id).await?.map(|standing| standing.balance))
    }

    async fn standing(&self, viewer: Uuid, account_id: Uuid) -> Result<Option<Standing>> {
        credits::find_standing(&mut *self.db.conn().await?, viewer, account_id).await
    }

    /// Every limit of an account, as it stands for the viewer; `None` when that is not the viewer's to see.
    pub async fn quotas(&self, viewer: Uuid, account_id: Uuid) -> Result<Option<Vec<Quota>>> {
        let rows = repo::list(&mut *self.db.conn().await?, viewer, &[account_id]).await?;
        let Some(row) = rows.into_iter().next() else { return Ok(None) };
        // A grant may be over while the period is not.
        let is_due = self.standing(viewer, account_id).await?.is_some_and(|standing| standing.is_due);
        let in_force = match is_due {
            true => self.bring_up_to_date(account_id).await?,
            false => self.current(row).await?,
        };
        let mut found = credits::list_counts(&mut *self.db.conn().await?, viewer, &[account_id]).await?;
        Ok(found.remove(&account_id).map(|counts| self.quotas_of(&in_force, &counts)))
    }

    /// Every limit of the plan in force and the ceilings, with what was counted.
    pub fn quotas_of(&self, in_force: &InForce, counts: &AccountCounts) -> Vec<Quota> {
        let anchors = in_force.anchors(counts.account_created_at);
        let limits = Limits::new(&in_force.plan, self.catalog.ceilings().limits(), &anchors);
        limits.all_quotas(&counts.counts, counts.now)
    }
}
