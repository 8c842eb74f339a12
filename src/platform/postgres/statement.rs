//! Statements written as SQL whose plan the server keeps. `diesel::sql_query` prepares anew on every call, which
//! costs a round trip; [`Statement`] is known by its text and is prepared once a connection.

use diesel::{
    QueryResult,
    pg::Pg,
    query_builder::{AstPass, Query, QueryFragment, QueryId},
    serialize::ToSql,
    sql_types::{HasSqlType, Untyped},
};

/// SQL with `?` for each parameter and each typed query within it, in their order. Rows are read with `QueryableByName`.
pub struct Statement<'a> {
    sql: &'static str,
    binds: Vec<Box<dyn Bind + Send + 'a>>,
}

/// Begins a statement.
pub fn statement<'a>(sql: &'static str) -> Statement<'a> {
    Statement { sql, binds: Vec::new() }
}

impl<'a> Statement<'a> {
    /// Binds the next `?`.
    pub fn bind<ST, T>(mut self, value: T) -> Self
    where
        ST: Send + Sync + 'a,
        Pg: HasSqlType<ST>,
        T: ToSql<ST, Pg> + Send + 'a,
    {
        self.binds.push(Box::new(Bound::<ST, T>(value, std::marker::PhantomData)));
        self
    }

    /// Puts a typed query in the place of the next `?`, so that what it says is said once: who may see what.
    pub fn query(mut self, query: impl QueryFragment<Pg> + Send + 'a) -> Self {
        self.binds.push(Box::new(Typed(query)));
        self
    }
}

trait Bind {
    fn push<'b>(&'b self, out: AstPass<'_, 'b, Pg>) -> QueryResult<()>;
}

struct Bound<ST, T>(T, std::marker::PhantomData<ST>);

impl<ST, T> Bind for Bound<ST, T>
where
    Pg: HasSqlType<ST>,
    T: ToSql<ST, Pg>,
{
    fn push<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_bind_param::<ST, T>(&self.0)
    }
}

struct Typed<Q>(Q);

impl<Q: QueryFragment<Pg>> Bind for Typed<Q> {
    fn push<'b>(&'b self, out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        self.0.walk_ast(out)
    }
}

impl QueryFragment<Pg> for Statement<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        let mut binds = self.binds.iter();
        let mut pieces = self.sql.split('?');
        out.push_sql(pieces.next().unwrap_or_default());
        for piece in pieces {
            if let Some(bind) = binds.next() {
                bind.push(out.reborrow())?;
            }
            out.push_sql(piece);
        }
        Ok(())
    }
}

impl Query for Statement<'_> {
    type SqlType = Untyped;
}

/// Known by its text: no static id.
impl QueryId for Statement<'_> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<Conn> diesel::RunQueryDsl<Conn> for Statement<'_> {}
