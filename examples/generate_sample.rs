//! Writes the committed sample of `data/segment` anew: `cargo run --example generate_sample DIR`.

use std::path::PathBuf;

use datafusion_sessionize::generate::{GenerateOptions, generate};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).ok_or("name the folder to write")?;
    let report = generate(&GenerateOptions::sample(PathBuf::from(folder)))?;
    assert_eq!(report.files, 30);
    Ok(())
}
