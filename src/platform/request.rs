//! The id of the request on whose behalf code runs. It follows the work into its tasks, and into the jobs it enqueues.

use std::{future::Future, sync::Arc};

tokio::task_local! {
    static REQUEST_ID: Option<Arc<str>>;
}

/// The id of the request, if there is one.
pub fn current() -> Option<Arc<str>> {
    REQUEST_ID.try_with(Clone::clone).ok().flatten()
}

/// Runs `work` on behalf of a request, or of none.
pub async fn on_behalf<T>(request_id: Option<Arc<str>>, work: impl Future<Output = T>) -> T {
    REQUEST_ID.scope(request_id, work).await
}
