//! The strings seen lately, so that one that comes again in another batch is not parsed
//! again.

use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use datafusion::common::{HashMap, Result};

use super::agent::Agent;

/// Bounds of what is kept: 8 MiB of text if every string, with what it says, were as long as
/// may be. When there are too many, all are let go: those in use come again.
const MOST_STRINGS: usize = 16_384;
const MOST_BYTES: usize = 512;

type Agents = HashMap<String, Arc<Agent>>;

static RECENT: LazyLock<Mutex<Agents>> = LazyLock::new(Mutex::default);

/// What each of `texts` says.
pub(super) fn agents(texts: &[&str]) -> Result<Vec<Arc<Agent>>> {
    let mut found = known(texts);
    let mut parsed = Vec::new();
    for (text, slot) in texts.iter().zip(&mut found) {
        if slot.is_none() {
            let agent = Arc::new(Agent::parse(text)?);
            parsed.push((*text, Arc::clone(&agent)));
            *slot = Some(agent);
        }
    }
    if !parsed.is_empty() {
        keep(parsed);
    }
    Ok(found.into_iter().flatten().collect())
}

fn known(texts: &[&str]) -> Vec<Option<Arc<Agent>>> {
    let recent = RECENT.lock().unwrap_or_else(PoisonError::into_inner);
    let known = texts.iter().map(|text| recent.get(*text).map(Arc::clone));
    known.collect()
}

fn keep(parsed: Vec<(&str, Arc<Agent>)>) {
    let mut recent = RECENT.lock().unwrap_or_else(PoisonError::into_inner);
    for (text, agent) in parsed {
        if bytes(text, &agent) > MOST_BYTES {
            continue;
        }
        if recent.len() >= MOST_STRINGS {
            recent.clear();
        }
        recent.insert(text.to_owned(), agent);
    }
}

fn bytes(text: &str, agent: &Agent) -> usize {
    text.len() + agent.device.len() + agent.os.len() + agent.browser.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(device: &str) -> Arc<Agent> {
        Arc::new(Agent {
            device: device.to_owned(),
            device_category: "other",
            os: String::new(),
            browser: String::new(),
            is_bot: false,
        })
    }

    #[test]
    fn what_is_kept_has_a_bound() {
        let texts: Vec<_> = (0..MOST_STRINGS + 10)
            .map(|n| format!("bound {n}"))
            .collect();
        let texts: Vec<_> = texts.iter().map(String::as_str).collect();
        keep(texts.iter().map(|text| (*text, agent("phone"))).collect());
        let long = "x".repeat(MOST_BYTES - 4);
        keep(vec![(&long, agent("phone"))]);
        let recent = RECENT.lock().unwrap();
        assert!(recent.contains_key("bound 16390"));
        assert!(!recent.contains_key("bound 1") && !recent.contains_key(&long));
        assert!(recent.len() <= MOST_STRINGS);
        let held: usize = recent.iter().map(|(text, agent)| bytes(text, agent)).sum();
        assert!(held <= MOST_STRINGS * MOST_BYTES);
    }
}
