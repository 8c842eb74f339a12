//! Loquent: the GraphQL backend for AI products. Each feature is one folder of [`domains`]; everything
//! else serves them.
#![recursion_limit = "256"]
