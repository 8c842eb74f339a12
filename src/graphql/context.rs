//! What a resolver can ask for: the caller, the loaders of the request, the handles of the domains.

use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use async_graphql::{Context, Request, Response};
use futures_util::{FutureExt, Stream, future::BoxFuture};
use uuid::Uuid;

use super::{
    batches::Batches,
    guard,
    loaders::Loaders,
    patience::Patience,
    rates::{Allowances, Spending},
    roots::Schema,
};
use crate::{
    domains::accounts::{Accounts, Origin, Viewer},
    error::AppError,
    platform::postgres::Db,
};

/// Id of one operation: in its logs, its errors and its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(pub Arc<str>);

/// What a caller's credential is worth.
#[derive(Debug, Clone)]
pub enum Credential {
    /// There is none.
    Anonymous,
    /// It is good, and this is whose it is.
    Signed(Viewer),
    /// It is malformed, expired or revoked: what is public works, everything else fails with this.
    Refused(AppError),
}

impl Credential {
    /// The signed-in person.
    pub fn viewer(&self) -> Option<Viewer> {
        match self {
            Self::Signed(viewer) => Some(*viewer),
            Self::Anonymous | Self::Refused(_) => None,
        }
    }
}

/// Who asks, from where.
#[derive(Debug, Clone)]
pub struct Caller {
    pub credential: Credential,
    pub origin: Origin,
    pub request_id: RequestId,
    /// Whether the answer says what each field costs.
    pub is_cost_itemized: bool,
    /// `None` for who does not want to wait.
    pub patience: Option<Patience>,
    /// What the operation costs, once it was counted.
    pub spending: Spending,
}

/// The API as the transports use it; clones share everything.
#[derive(Clone)]
pub struct Api {
    pub schema: Schema,
    pub accounts: Accounts,
    pub guard_limits: guard::Limits,
    pub allowances: Allowances,
    pub db: Db,
}

impl Api {
    /// Runs a query or a mutation with loaders of its own. In a box: it is several kilobytes, which everything around it
    /// would be moved with.
    pub fn execute(&self, request: Request, caller: Caller) -> BoxFuture<'_, Response> {
        let (request, batches) = self.prepare(request, caller);
        batches.drive(self.schema.execute(request)).boxed()
    }

    /// Runs a subscription with loaders of its own.
    pub fn subscribe(&self, request: Request, caller: Caller) -> impl Stream<Item = Response> + Send + use<> {
        let (request, batches) = self.prepare(request, caller);
        batches.drive_events(self.schema.execute_stream(request))
    }

    fn prepare(&self, request: Request, caller: Caller) -> (Request, Batches) {
        let batches = Batches::default();
        let acting = Acting::new(self.db.clone(), caller.credential.viewer(), batches.clone());
        (request.data(caller).data(acting), batches)
    }
}

/// In whose name objects are read: the caller, or whoever signed in just now in this very request.
pub struct Acting {
    db: Db,
    batches: Batches,
    /// The loaders are made when the first is asked for: most watchers never do.
    current: RwLock<(Option<Viewer>, OnceLock<Arc<Loaders>>)>,
}

impl Acting {
    fn new(db: Db, viewer: Option<Viewer>, batches: Batches) -> Self {
        Self { db, batches, current: RwLock::new((viewer, OnceLock::new())) }
    }
}

/// Nobody has the nil id, so nobody's rows are what a caller without credential sees.
fn viewer_id(viewer: Option<Viewer>) -> Uuid {
    viewer.map_or(Uuid::nil(), |viewer| viewer.user_id)
}

/// Shorthands of resolvers.
pub trait ContextExt<'a> {
    /// Handle of a domain.
    fn handle<T: Send + Sync + 'static>(&self) -> &'a T;
    /// Who asks.
    fn caller(&self) -> &'a Caller;
    /// The signed-in caller. The guard of every field that asks has let only such in; anybody else sees nothing.
    fn viewer(&self) -> Viewer;
    /// Loaders of this request, in the name of the viewer.
    fn loaders(&self) -> Arc<Loaders>;
    /// Reads what follows in the name of somebody who has just signed in.
    fn act_as(&self, viewer: Viewer);
}

impl<'a> ContextExt<'a> for Context<'a> {
    fn handle<T: Send + Sync + 'static>(&self) -> &'a T {
        self.data_unchecked::<T>()
    }

    fn caller(&self) -> &'a Caller {
        self.data_unchecked::<Caller>()
    }

    fn viewer(&self) -> Viewer {
        let acting = self.data_unchecked::<Acting>();
        let current = acting.current.read().unwrap_or_else(PoisonError::into_inner);
        current.0.unwrap_or_else(Viewer::nobody)
    }

    fn loaders(&self) -> Arc<Loaders> {
        let acting = self.data_unchecked::<Acting>();
        let current = acting.current.read().unwrap_or_else(PoisonError::into_inner);
        let make = || Arc::new(Loaders::new(acting.db.clone(), viewer_id(current.0), &acting.batches));
        current.1.get_or_init(make).clone()
    }

    fn act_as(&self, viewer: Viewer) {
        let acting = self.data_unchecked::<Acting>();
        *acting.current.write().unwrap_or_else(PoisonError::into_inner) = (Some(viewer), OnceLock::new());
    }
}
