//! `session_id`.

use std::sync::LazyLock;

use datafusion::logical_expr::Documentation;

use super::window::{Kind, SessionizeFunction};
use crate::functions::docs;

static DOCUMENTATION: LazyLock<Documentation> =
    LazyLock::new(|| docs::window(Kind::SessionId, DESCRIPTION, EXAMPLE));

const DESCRIPTION: &str = "A stable id of the session: `surrogate_key(key, session_number)`, the same in every run over the same events. Null if the timestamp is null.";

const EXAMPLE: &str = "\
SELECT t, session_id(visitor, t) OVER (PARTITION BY visitor ORDER BY t) AS value
FROM (VALUES
  ('ada', TIMESTAMP '2026-01-01 09:00:00'),
  ('ada', TIMESTAMP '2026-01-01 09:10:00'),
  ('ada', TIMESTAMP '2026-01-01 09:40:00')
) AS events(visitor, t)
ORDER BY t;
+---------------------+----------------------------------+
| t                   | value                            |
+---------------------+----------------------------------+
| 2026-01-01T09:00:00 | 39795398e30db2645be6c73500a66b57 |
| 2026-01-01T09:10:00 | 39795398e30db2645be6c73500a66b57 |
| 2026-01-01T09:40:00 | 5618b5495eb624e562b0f87c8c11a1fb |
+---------------------+----------------------------------+";

/// The function `session_id`.
pub(crate) fn session_id() -> SessionizeFunction {
    SessionizeFunction::new(Kind::SessionId, &DOCUMENTATION)
}
