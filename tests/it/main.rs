//! Integration tests, one binary, a module each.

mod functions_page;
mod oracle;
mod packs;
