//! Integration tests, one binary, a module each.

mod embedding;
mod catalog;
mod functions_page;
mod layers;
mod oracle;
mod packs;
mod run;
