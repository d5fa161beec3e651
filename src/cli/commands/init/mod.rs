//! `init`: the project that the binary carries, written out: all of its packs or some, over
//! its samples or over files that are there already.

mod files;
mod from;
mod outline;
mod packs;

use std::path::{Path, PathBuf};

use datafusion_sessionize::runner::error::Result;

use super::usage;
use crate::cli::args::InitArguments;
use crate::cli::artifacts;
use crate::cli::context::Context;
use crate::cli::exit::Exit;
use crate::cli::progress::count;
use files::Files;

/// Writes the project into a folder that has none of its files.
pub(crate) fn run(context: &Context, arguments: &InitArguments) -> Result<Exit> {
    let embedded = Files::embedded()?;
    let wish = Wish::of(&embedded, arguments)?;
    let folder = context.absolute(&wish.dir);
    let files = match &arguments.from {
        Some(location) => {
            from::files(context, &embedded, location, &wish.packs, &folder)?
        }
        None if wish.packs.is_empty() => embedded,
        None => {
            let (files, along) = packs::chosen(&embedded, &wish.packs)?;
            say_along(context, &along);
            files
        }
    };
    write(&files, &folder, &wish.dir)?;
    let written = count(files.0.len() as u64, "file");
    let shown = wish.dir.display();
    context
        .printer
        .result(&format!("wrote {written} to `{shown}`"));
    context
        .printer
        .note(&format!("next: sessionize build --project-dir {shown}"));
    Ok(Exit::Ok)
}

/// Names the packs that a choice brings with it.
fn say_along(context: &Context, along: &[String]) {
    if !along.is_empty() {
        let along = along.join("`, `");
        let note = format!("also wrote what these packs read: `{along}`");
        context.printer.note(&note);
    }
}

fn write(files: &Files, folder: &Path, shown: &Path) -> Result<()> {
    let there: Vec<&PathBuf> = files
        .0
        .keys()
        .filter(|path| folder.join(path).symlink_metadata().is_ok())
        .collect();
    if let [first, others @ ..] = there.as_slice() {
        let first = shown.join(first);
        let message = match others.len() {
            0 => format!("`{}` is already there", first.display()),
            n => format!("`{}` and {n} more are already there", first.display()),
        };
        let hint = "`init` overwrites nothing: choose another folder";
        return Err(usage(message).with_hint(hint));
    }
    for (path, content) in &files.0 {
        artifacts::whole(&folder.join(path), content)?;
    }
    Ok(())
}

/// What to write, and where to.
#[derive(Debug, PartialEq, Eq)]
struct Wish {
    /// None: all.
    packs: Vec<String>,
    dir: PathBuf,
}

impl Wish {
    /// `--pack` takes all words that follow: the last one is the folder if there is none
    /// else, and if it cannot be a pack that was mistyped.
    fn of(files: &Files, arguments: &InitArguments) -> Result<Self> {
        let known = packs::names(files);
        let mut chosen = arguments.pack.clone();
        // `--pack a, b`
        chosen.retain(|pack| !pack.is_empty());
        let mut dir = arguments.dir.clone();
        if dir.is_none()
            && let [.., last] = chosen.as_slice()
            && chosen.len() > 1
            && !known.contains(last)
            && (last.contains(['/', '\\']) || similar(last, &known).is_none())
        {
            dir = chosen.pop().map(PathBuf::from);
        }
        for pack in &chosen {
            if known.contains(pack) {
                continue;
            }
            let list = known.join("`, `");
            let hint = match similar(pack, &known) {
                Some(meant) => format!("did you mean `{meant}`? The packs are `{list}`"),
                None => format!("the packs are `{list}`"),
            };
            let message = format!("there is no pack `{pack}`");
            return Err(usage(message).with_hint(hint));
        }
        chosen.dedup();
        Ok(Self {
            packs: chosen,
            dir: dir.unwrap_or_else(|| PathBuf::from(".")),
        })
    }
}

/// The pack that a word may have been meant for.
fn similar<'a>(word: &str, known: &'a [String]) -> Option<&'a String> {
    let near = known
        .iter()
        .map(|name| (strsim::jaro_winkler(word, name), name))
        .filter(|(likeness, _)| *likeness > 0.8);
    let best = near.max_by(|a, b| a.0.total_cmp(&b.0));
    best.map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(dir: Option<&str>, pack: &[&str]) -> std::result::Result<Wish, String> {
        let files = Files::embedded().expect("files");
        let arguments = InitArguments {
            dir: dir.map(PathBuf::from),
            pack: pack.iter().map(|p| (*p).to_owned()).collect(),
            from: None,
        };
        Wish::of(&files, &arguments).map_err(|e| {
            let hint = e.hint().unwrap_or_default();
            format!("{} ({hint})", e.message())
        })
    }

    #[test]
    fn packs_and_the_folder_are_told_apart() {
        let found = |packs: &[&str], dir: &str| {
            let packs = packs.iter().map(|p| (*p).to_owned()).collect();
            let dir = PathBuf::from(dir);
            Ok(Wish { packs, dir })
        };
        assert_eq!(wish(None, &[]), found(&[], "."));
        assert_eq!(wish(Some("shop"), &["events"]), found(&["events"], "shop"));
        assert_eq!(wish(None, &["events", "shop"]), found(&["events"], "shop"));
        assert_eq!(
            wish(None, &["events", "events/"]),
            found(&["events"], "events/")
        );
        let both = found(&["events", "segment"], ".");
        assert_eq!(wish(None, &["events", "segment"]), both);
        for (dir, packs, named) in [
            (None, vec!["event"], "did you mean `events`"),
            (None, vec!["segment", "evnts"], "did you mean `events`"),
            (None, vec!["shop"], "the packs are `"),
            (Some("a"), vec!["events", "b"], "there is no pack `b`"),
        ] {
            let error = wish(dir, &packs).unwrap_err();
            assert!(error.contains(named), "{error}");
        }
    }
}
