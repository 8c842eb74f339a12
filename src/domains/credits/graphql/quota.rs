//! Limits as they stand.

use async_graphql::SimpleObject;

use crate::{
    domains::{
        catalog::{
            self,
            graphql::{Meter, QuotaScope, QuotaWindow, amount_of},
        },
        credits,
    },
    error::QuotaDetails,
    graphql::scalars::{DateTime, Decimal},
};

/// State of one limit for the account and caller.
#[derive(Debug, Clone, SimpleObject)]
pub struct Quota {
    /// What is counted.
    meter: Meter,
    /// Span after which the count starts again.
    window: QuotaWindow,
    /// Whose use is counted.
    scope: QuotaScope,
    /// Most that may be used in the window; null is unlimited.
    limit: Option<Decimal>,
    /// Used and settled in the window.
    used: Decimal,
    /// Reserved by work in progress.
    held: Decimal,
    /// `limit` less `used` and `held`, never below 0; null is unlimited.
    remaining: Option<Decimal>,
    /// When the count next falls, or null when it never does.
    resets_at: Option<DateTime>,
    /// Grows with every change; drop anything older than what you have.
    revision: i32,
}

impl From<credits::Quota> for Quota {
    fn from(quota: credits::Quota) -> Self {
        let amount = |amount| amount_of(quota.meter, amount);
        Self {
            meter: quota.meter.into(),
            window: quota.window.into(),
            scope: quota.scope.into(),
            limit: quota.limit.map(amount),
            used: amount(quota.used),
            held: amount(quota.held),
            remaining: quota.remaining().map(amount),
            resets_at: quota.resets_at.map(DateTime::from),
            revision: i32::try_from(quota.revision).unwrap_or(i32::MAX),
        }
    }
}

/// What a payload shows of the limits that its call drew on.
pub fn shown(quotas: Vec<credits::Quota>) -> Vec<Quota> {
    quotas.into_iter().map(Quota::from).collect()
}

/// The limit of a refusal; `None` for names that the catalogue does not have.
pub fn refused(details: &QuotaDetails) -> Option<credits::Quota> {
    Some(credits::Quota {
        meter: catalog::Meter::parse(details.meter)?,
        window: catalog::Window::parse(details.window)?,
        scope: if details.scope == "member" { catalog::Scope::Member } else { catalog::Scope::Account },
        limit: details.limit,
        used: details.used,
        held: details.held,
        resets_at: details.resets_at,
        revision: details.revision,
    })
}
