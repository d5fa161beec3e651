//! Window and scalar functions, one file each; this is their list.

pub mod expr_fn;

mod arguments;
mod docs;
mod evaluator;
mod is_session_start;
mod named_arguments;
mod output;
mod physical;
mod registrable_domain;
mod scalar;
mod session_bucket_id;
mod session_end;
mod session_event_number;
mod session_id;
mod session_number;
mod session_start;
mod session_start_reason;
mod surrogate_key;
mod text;
mod traffic_source;
mod url;
mod url_host;
mod url_parameter;
mod url_path;
mod url_query;
mod user_agent;
mod window;

use std::sync::{Arc, LazyLock};

use datafusion::common::Result;
use datafusion::logical_expr::registry::FunctionRegistry;
use datafusion::logical_expr::{ScalarUDF, WindowUDF};

pub use docs::functions_markdown;
pub use named_arguments::resolve_named_arguments;
pub use traffic_source::{
    TrafficSourceRules, TrafficSourceRulesError, traffic_source_with,
};

pub(crate) use output::{CachedId, Writer};
pub(crate) use physical::SessionCall;
#[cfg(feature = "runner")]
pub(crate) use traffic_source::rules_of as traffic_source_rules_of;

static WINDOW: LazyLock<Vec<Arc<WindowUDF>>> = LazyLock::new(|| {
    [
        session_number::session_number(),
        session_id::session_id(),
        session_start::session_start(),
        session_end::session_end(),
        session_event_number::session_event_number(),
        is_session_start::is_session_start(),
        session_start_reason::session_start_reason(),
    ]
    .into_iter()
    .map(|function| Arc::new(WindowUDF::from(function)))
    .collect()
});

static SCALAR: LazyLock<Vec<Arc<ScalarUDF>>> = LazyLock::new(|| {
    [
        ScalarUDF::from(surrogate_key::SurrogateKey::default()),
        ScalarUDF::from(url_host::UrlHost::default()),
        ScalarUDF::from(url_path::UrlPath::default()),
        ScalarUDF::from(url_query::UrlQuery::default()),
        ScalarUDF::from(url_parameter::UrlParameter::default()),
        ScalarUDF::from(session_bucket_id::SessionBucketId::default()),
        ScalarUDF::from(registrable_domain::RegistrableDomain::default()),
        ScalarUDF::from(user_agent::UserAgent::default()),
        ScalarUDF::from(traffic_source::TrafficSource::default()),
    ]
    .into_iter()
    .map(Arc::new)
    .collect()
});

/// All window functions of this crate.
pub fn window_functions() -> Vec<Arc<WindowUDF>> {
    WINDOW.clone()
}

/// All scalar functions of this crate.
pub fn scalar_functions() -> Vec<Arc<ScalarUDF>> {
    SCALAR.clone()
}

/// Registers every function of this crate. Functions of the same name are replaced.
///
/// ```
/// use datafusion::prelude::SessionContext;
///
/// let mut context = SessionContext::new();
/// datafusion_sessionize::functions::register_all(&mut context)?;
/// # Ok::<(), datafusion::error::DataFusionError>(())
/// ```
pub fn register_all(registry: &mut dyn FunctionRegistry) -> Result<()> {
    for function in window_functions() {
        registry.register_udwf(function)?;
    }
    for function in scalar_functions() {
        registry.register_udf(function)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use datafusion::prelude::col;

    use super::*;

    #[test]
    fn every_function_has_documentation_and_an_slt() {
        let documented = window_functions()
            .iter()
            .map(|f| (f.name().to_string(), f.documentation().is_some()))
            .chain(
                scalar_functions()
                    .iter()
                    .map(|f| (f.name().to_string(), f.documentation().is_some())),
            )
            .collect::<Vec<_>>();
        let folder =
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/slt/functions");
        assert_eq!(documented.len(), 16);
        for (name, documented) in documented {
            assert!(documented, "`{name}` has no documentation");
            let slt = folder.join(format!("{name}.slt"));
            assert!(slt.exists(), "{} is missing", slt.display());
        }
    }

    #[test]
    fn builders_call_the_function_of_their_name() {
        let of = |expression: datafusion::logical_expr::Expr| expression.to_string();
        let t = || vec![col("t")];
        for (expression, name) in [
            (of(expr_fn::session_number(t())), "session_number("),
            (
                of(expr_fn::session_id(vec![col("k"), col("t")])),
                "session_id(",
            ),
            (of(expr_fn::session_start(t())), "session_start("),
            (of(expr_fn::session_end(t())), "session_end("),
            (
                of(expr_fn::session_event_number(t())),
                "session_event_number(",
            ),
            (of(expr_fn::is_session_start(t())), "is_session_start("),
            (
                of(expr_fn::session_start_reason(t())),
                "session_start_reason(",
            ),
            (of(expr_fn::surrogate_key(t())), "surrogate_key("),
            (of(expr_fn::url_host(col("u"))), "url_host("),
            (of(expr_fn::url_path(col("u"))), "url_path("),
            (of(expr_fn::url_query(col("u"))), "url_query("),
            (
                of(expr_fn::url_parameter(col("u"), col("n"))),
                "url_parameter(",
            ),
            (
                of(expr_fn::session_bucket_id(col("k"), col("t"), None)),
                "session_bucket_id(",
            ),
            (
                of(expr_fn::registrable_domain(col("h"))),
                "registrable_domain(",
            ),
            (of(expr_fn::user_agent(col("u"))), "user_agent("),
            (of(expr_fn::traffic_source(t())), "traffic_source("),
        ] {
            assert!(expression.starts_with(name), "{expression}");
        }
    }
}
