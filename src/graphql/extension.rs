//! What the API adds to the engine. One extension for all of it: each costs every operation six allocations, and every
//! field one.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering},
};

use async_graphql::{
    Name, Pos, Request, Response, ServerError, ServerResult, ValidationResult, Value, async_trait,
    extensions::{
        Extension, ExtensionContext, ExtensionFactory, NextExecute, NextPrepareRequest, NextResolve,
        NextValidation, ResolveInfo,
    },
};

use super::{
    Caller,
    admission::{Admission, Verdict, refusal_of},
    null_boundary::NullBoundary,
    rates::Allowances,
};

/// Extension of the schema: operations are admitted, and failed fields that may be null are null.
#[derive(Clone)]
pub struct Rules {
    /// `None` admits everything, which is for a schema without callers.
    pub admission: Option<Admission>,
    /// `None` counts nothing.
    pub allowances: Option<Allowances>,
}

impl ExtensionFactory for Rules {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(Running {
            admission: self.admission,
            allowances: self.allowances.clone(),
            verdict: OnceLock::new(),
            is_settled: AtomicBool::new(false),
            boundary: NullBoundary::default(),
        })
    }
}

/// What the operation was to cost and did cost, and what is left after it. Gives back what it did not cost.
fn settle(ctx: &ExtensionContext<'_>, verdict: &Verdict, response: &Response) -> Value {
    let (mut cost, actual) = (verdict.cost.clone(), verdict.actual(response));
    let spent = ctx.data_opt::<Caller>().and_then(|caller| caller.spending.get());
    if let (Value::Object(cost), Some(spent)) = (&mut cost, spent) {
        spent.settle(actual);
        cost.insert(Name::new("actual"), actual.into());
        cost.insert(Name::new("throttle"), spent.throttle());
    }
    cost
}

/// The rules in one operation.
struct Running {
    admission: Option<Admission>,
    allowances: Option<Allowances>,
    verdict: OnceLock<Verdict>,
    /// An operation is settled once. The events of a subscription stay small: the first alone says what it cost.
    is_settled: AtomicBool,
    boundary: NullBoundary,
}

impl Running {
    /// Takes the points of a valid operation from the budget of its caller.
    async fn spend(&self, ctx: &ExtensionContext<'_>, points: u64) -> Result<(), Vec<ServerError>> {
        let (Some(allowances), Some(caller)) = (&self.allowances, ctx.data_opt::<Caller>()) else {
            return Ok(());
        };
        let spent = allowances.spend(caller, points).await;
        spent.map_err(|error| vec![refusal_of(&error, Pos::default())])
    }
}

#[async_trait::async_trait]
impl Extension for Running {
    async fn prepare_request(
        &self,
        ctx: &ExtensionContext<'_>,
        request: Request,
        next: NextPrepareRequest<'_>,
    ) -> ServerResult<Request> {
        let request = next.run(ctx, request).await?;
        let Some(admission) = self.admission else { return Ok(request) };
        let (request, verdict) = admission.judge(&ctx.schema_env.registry, request)?;
        // A request is prepared once.
        let _ = self.verdict.set(verdict);
        Ok(request)
    }

    async fn validation(
        &self,
        ctx: &ExtensionContext<'_>,
        next: NextValidation<'_>,
    ) -> Result<ValidationResult, Vec<ServerError>> {
        let result = next.run(ctx).await;
        match (result, self.verdict.get()) {
            (Ok(_), Some(verdict)) if !verdict.errors.is_empty() => Err(verdict.errors.clone()),
            (Err(errors), Some(verdict)) => Err(verdict.add_to(errors)),
            (Ok(valid), Some(verdict)) => self.spend(ctx, verdict.points).await.map(|()| valid),
            (result, None) => result,
        }
    }

    async fn resolve(
        &self,
        ctx: &ExtensionContext<'_>,
        info: ResolveInfo<'_>,
        next: NextResolve<'_>,
    ) -> ServerResult<Option<Value>> {
        let return_type = info.return_type;
        self.boundary.end(return_type, next.run(ctx, info).await)
    }

    async fn execute(
        &self,
        ctx: &ExtensionContext<'_>,
        operation_name: Option<&str>,
        next: NextExecute<'_>,
    ) -> Response {
        let mut response = next.run(ctx, operation_name).await;
        self.boundary.tell(&mut response);
        let is_settled = self.is_settled.swap(true, Ordering::Relaxed);
        if let Some(verdict) = self.verdict.get().filter(|_| !is_settled) {
            let cost = settle(ctx, verdict, &response);
            response.extensions.insert("cost".to_owned(), cost);
        }
        response
    }
}
