//! Window and scalar functions, one file each; this is their list.

pub mod expr_fn;

mod arguments;
mod connected_component;
mod docs;
mod named_arguments;
mod scalar;
mod session;
mod session_bucket_id;
mod surrogate_key;
mod text;
mod traffic_source;
mod url;
mod user_agent;

use std::sync::{Arc, LazyLock};

use datafusion::common::Result;
use datafusion::logical_expr::registry::FunctionRegistry;
use datafusion::logical_expr::{ScalarUDF, WindowUDF};

pub use docs::functions_markdown;
pub use named_arguments::resolve_named_arguments;
pub use traffic_source::{
    TrafficSourceRules, TrafficSourceRulesError, traffic_source_with,
};

pub(crate) use arguments::BoundArguments;
pub(crate) use connected_component::{
    Components, ConnectedComponent, Node, labels_array, nodes,
};
pub(crate) use session::{CachedId, Kind, SessionCall, Writer, as_timestamps};
pub(crate) use text::TextColumn;
#[cfg(feature = "runner")]
pub(crate) use traffic_source::rules_of as traffic_source_rules_of;

static WINDOW: LazyLock<Vec<Arc<WindowUDF>>> = LazyLock::new(|| {
    let session = session::all().map(WindowUDF::from).into_iter();
    let others = [WindowUDF::from(ConnectedComponent::default())];
    session.chain(others).map(Arc::new).collect()
});

/// [`expr_fn`] names them by their place.
static SCALAR: LazyLock<Vec<Arc<ScalarUDF>>> = LazyLock::new(|| {
    let keys = [ScalarUDF::from(surrogate_key::SurrogateKey::default())];
    let others = [
        ScalarUDF::from(session_bucket_id::SessionBucketId::default()),
        ScalarUDF::from(user_agent::UserAgent::default()),
        ScalarUDF::from(traffic_source::TrafficSource::default()),
    ];
    let all = keys.into_iter().chain(url::all()).chain(others);
    all.map(Arc::new).collect()
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
            (
                of(expr_fn::connected_component(col("a"), col("b"))),
                "connected_component(",
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
