//! The `sessionize` binary.

mod cli;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    small_pages();
    cli::main().into()
}

/// Has memory come page by page. The allocator asks for huge pages, which the kernel clears
/// whole when a byte of them is touched: twice the memory, and much of a run's time.
#[cfg(target_os = "linux")]
fn small_pages() {
    // without it a run only takes longer
    rustix::thread::disable_transparent_huge_pages(true).ok();
}

#[cfg(not(target_os = "linux"))]
fn small_pages() {}
