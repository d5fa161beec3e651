//! Integration tests, one binary, a module each.

mod catalog;
mod embedding;
mod functions_page;
mod layers;
mod oracle;
mod packs;
mod run;
