//! Ctrl-C and SIGTERM: the first is a wish that the batch ends soon and well, the second ends the program at once.

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

/// The exit status that the signal asks for; 0 if there was none.
static STATUS: LazyLock<Arc<AtomicUsize>> = LazyLock::new(Arc::default);

/// From now on signals are wishes.
pub fn listen() -> std::io::Result<()> {
    let second = Arc::new(AtomicBool::new(false));
    for (signal, status) in [(SIGINT, 130), (SIGTERM, 143)] {
        flag::register_conditional_shutdown(signal, status as i32, second.clone())?;
        flag::register_usize(signal, STATUS.clone(), status)?;
        flag::register(signal, second.clone())?;
    }
    Ok(())
}

/// Wishes, as a signal would, that the work ends; with zero, takes the wish back.
pub fn ask(status: usize) {
    STATUS.store(status, Ordering::Relaxed);
}

/// The exit status that a signal asked for.
pub fn asked() -> Option<u8> {
    u8::try_from(STATUS.load(Ordering::Relaxed)).ok().filter(|&status| status > 0)
}
