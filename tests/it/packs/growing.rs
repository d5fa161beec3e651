//! Lakes that grow: what a pack makes of them must not depend on how they came.

use std::fs;
use std::path::Path;

use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde_json::Value;

use super::build::{Build, Built};

/// A pack over one sample file, and the models that are compared.
pub(crate) struct Growing {
    pub(crate) pack: &'static str,
    pub(crate) variable: &'static str,
    /// Further variables, a mapping.
    pub(crate) vars: Value,
    pub(crate) extension: &'static str,
    /// Of a CSV file; else ''.
    pub(crate) header: String,
    pub(crate) lines: Vec<String>,
    pub(crate) models: &'static [&'static str],
}

impl Growing {
    /// The rows in a random order, dealt out over so many files in `lake`.
    pub(crate) fn deal(&self, files: usize, lake: &Path) {
        let mut lines = self.lines.clone();
        lines.shuffle(&mut ChaCha8Rng::seed_from_u64(files as u64));
        for (number, hand) in lines.chunks(lines.len().div_ceil(files)).enumerate() {
            self.write(lake, number, hand);
        }
    }

    fn write(&self, lake: &Path, number: usize, lines: &[String]) {
        let name = format!("part-{number}.{}", self.extension);
        let text = format!("{}{}\n", self.header, lines.join("\n"));
        fs::create_dir_all(lake).unwrap();
        fs::write(lake.join(name), text).unwrap();
    }

    pub(crate) fn build(&self, lake: &Path) -> Build {
        Build::of(self.pack, self.variable, lake).vars(&self.vars)
    }

    async fn assert_same(&self, ours: &Built, whole: &Built, what: &str) {
        for model in self.models {
            let (ours, whole) = (ours.read(model).await, whole.read(model).await);
            ours.assert_same(&whole, &format!("`{model}` {what}"));
        }
    }

    /// Fails if threads, files or the order of rows matter.
    pub(crate) async fn assert_order_is_nothing(&self) {
        let (one, many) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        self.write(one.path(), 0, &self.lines);
        self.deal(9, many.path());
        let whole = self.build(one.path()).threads(1).run().await;
        let dealt = self.build(many.path()).threads(8).run().await;
        self.assert_same(&dealt, &whole, "of shuffled files").await;
    }

    /// Fails if a table that follows its files differs from one that is built anew, if a
    /// run with nothing new does something, or if one of `by_key` is ever rebuilt.
    pub(crate) async fn assert_follows(&self, by_key: &[&str]) {
        let project = tempfile::tempdir().unwrap();
        let (all, lake) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        self.deal(5, all.path());
        let build = || self.build(lake.path()).within(project.path());
        for number in 0..5 {
            let name = format!("part-{number}.{}", self.extension);
            fs::copy(all.path().join(&name), lake.path().join(&name)).unwrap();
            let built = build().run().await;
            for (model, said) in built.messages() {
                assert!(!said.contains("rebuilt in full"), "{model}: {said}");
                let follows = number > 0 && by_key.contains(&model.as_str());
                let followed = ["updated by key", "appended"];
                let followed = followed.iter().any(|words| said.contains(words));
                assert!(!follows || followed, "{model}: {said}");
            }
            let whole = self.build(lake.path()).run().await;
            self.assert_same(&built, &whole, &format!("after {name}"))
                .await;
        }
        let again = build().run().await;
        let tables = again
            .messages()
            .iter()
            .filter(|(m, _)| self.models.contains(&m.as_str()));
        let mut seen = 0;
        for (model, said) in tables.filter(|(_, said)| !said.is_empty()) {
            assert!(said.contains("NO-OP"), "{model}: {said}");
            seen += 1;
        }
        assert!(seen >= by_key.len());
    }
}
