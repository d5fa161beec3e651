//! How a model's rows are kept: one file a materialization.
