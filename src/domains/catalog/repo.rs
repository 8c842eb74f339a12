//! Queries of the catalogue.

use diesel::{prelude::*, upsert::excluded};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::model::{ModelRow, PlanRow, PriceRow};
use crate::{
    platform::postgres::{now, only},
    schema::{model_prices, models, plans},
};

pub async fn find_default_plan(conn: &mut AsyncPgConnection) -> QueryResult<Option<PlanRow>> {
    plans::table.filter(plans::is_default).select(PlanRow::as_select()).first(conn).await.optional()
}

/// Makes the plan the default one; its id and version stay what they were.
pub async fn upsert_default_plan(conn: &mut AsyncPgConnection, plan: &PlanRow) -> QueryResult<()> {
    diesel::update(plans::table.filter(plans::is_default).filter(plans::key.ne(&plan.key)))
        .set(plans::is_default.eq(false))
        .execute(conn)
        .await?;
    diesel::insert_into(plans::table)
        .values(plan)
        .on_conflict(plans::key)
        .do_update()
        .set((
            plans::name.eq(excluded(plans::name)),
            plans::is_default.eq(true),
            plans::credits.eq(excluded(plans::credits)),
            plans::min_output_tokens.eq(excluded(plans::min_output_tokens)),
            plans::version.eq(plans::version + 1),
        ))
        .execute(conn)
        .await
        .map(drop)
}

pub async fn list_models(conn: &mut AsyncPgConnection) -> QueryResult<Vec<ModelRow>> {
    models::table.filter(models::is_enabled).order(models::key).select(ModelRow::as_select()).load(conn).await
}

/// Prices in force.
pub async fn list_prices(conn: &mut AsyncPgConnection) -> QueryResult<Vec<PriceRow>> {
    model_prices::table
        .filter(model_prices::valid_to.is_null())
        .select(PriceRow::as_select())
        .load(conn)
        .await
}

/// Stores a model under its key; returns the id it has, which stays.
pub async fn upsert_model(conn: &mut AsyncPgConnection, model: &ModelRow) -> QueryResult<Uuid> {
    diesel::insert_into(models::table)
        .values(model)
        .on_conflict(models::key)
        .do_update()
        .set((
            models::name.eq(excluded(models::name)),
            models::provider.eq(excluded(models::provider)),
            models::upstream_name.eq(excluded(models::upstream_name)),
            models::context_tokens.eq(excluded(models::context_tokens)),
            models::max_output_tokens.eq(excluded(models::max_output_tokens)),
            models::is_enabled.eq(true),
        ))
        .returning(models::id)
        .load(conn)
        .await
        .and_then(only)
}

/// Switches off every model whose key is not among these.
pub async fn disable_other_models(conn: &mut AsyncPgConnection, keys: &[&str]) -> QueryResult<()> {
    diesel::update(models::table.filter(models::key.ne_all(keys)))
        .set(models::is_enabled.eq(false))
        .execute(conn)
        .await
        .map(drop)
}

/// Ends the price in force and begins another.
pub async fn replace_price(conn: &mut AsyncPgConnection, id: Uuid, price: &PriceRow) -> QueryResult<()> {
    diesel::update(model_prices::table)
        .filter(model_prices::model_id.eq(price.model_id))
        .filter(model_prices::unit.eq(&price.unit))
        .filter(model_prices::valid_to.is_null())
        .set(model_prices::valid_to.eq(now().nullable()))
        .execute(conn)
        .await?;
    diesel::insert_into(model_prices::table)
        .values((
            model_prices::id.eq(id),
            model_prices::model_id.eq(price.model_id),
            model_prices::unit.eq(&price.unit),
            model_prices::credits.eq(price.credits),
            model_prices::cost.eq(price.cost),
        ))
        .execute(conn)
        .await
        .map(drop)
}
