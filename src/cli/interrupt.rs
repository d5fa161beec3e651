//! Ctrl-C and SIGTERM.
//!
//! ```text
//! first signal ──► the watch turns true ──► commands drop their work and clean up
//!              └─► 1.9 s later, or at a second signal: the process ends
//! ```
//!
//! The signals are heard on a thread of their own, so that queries which keep every
//! worker of the runtime busy cannot delay them.

use std::time::Duration;

use tokio::sync::watch;

use super::exit::Exit;

const GRACE: Duration = Duration::from_millis(1900);

/// Tells commands that the user wants them to stop.
#[derive(Debug, Clone)]
pub(crate) struct Interrupt {
    receiver: watch::Receiver<bool>,
}

impl Interrupt {
    /// Starts to listen.
    pub(crate) fn listen() -> std::io::Result<Self> {
        let (sender, receiver) = watch::channel(false);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        std::thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || runtime.block_on(watch_signals(&sender)))?;
        Ok(Self { receiver })
    }

    /// The flag that turns true.
    pub(crate) fn receiver(&self) -> watch::Receiver<bool> {
        self.receiver.clone()
    }

    /// Ends when the user interrupts.
    pub(crate) async fn triggered(&self) {
        let mut receiver = self.receiver.clone();
        if receiver.wait_for(|stop| *stop).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[expect(clippy::exit, reason = "the work did not stop in time")]
async fn watch_signals(sender: &watch::Sender<bool>) {
    signal().await;
    sender.send_replace(true);
    tokio::select! {
        () = signal() => {}
        () = tokio::time::sleep(GRACE) => {}
    }
    std::process::exit(i32::from(Exit::Interrupted.code()));
}

#[cfg(unix)]
async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    ) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

#[cfg(not(unix))]
async fn signal() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
