//! Panics of the crate: caught where they can be, counted, and put into words.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook, take_hook};
use std::process::exit;
use std::sync::atomic::{AtomicU64, Ordering};

/// What happens at a panic besides its being counted.
#[derive(Clone, Copy, Eq, PartialEq)]
pub enum AtPanic {
    /// Nothing on stderr: the one who catches it tells.
    Quiet,
    /// The standard report on stderr.
    Report,
    /// The standard report on stderr, then the end of the process.
    Exit,
}

/// The exit code of a process that Rust itself ends for a panic.
const PANIC_EXIT_CODE: i32 = 101;

static PANICS: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static LAST_PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Sets what this process does at a panic. To be called once, at the start.
pub fn on_panic(at_panic: AtPanic) {
    let standard_report = take_hook();
    set_hook(Box::new(move |info| {
        PANICS.fetch_add(1, Ordering::Relaxed);
        LAST_PANIC.set(Some(describe(info)));
        if at_panic != AtPanic::Quiet {
            standard_report(info);
        }
        if at_panic == AtPanic::Exit {
            exit(PANIC_EXIT_CODE);
        }
    }));
}

/// Panics of this process so far, caught or not.
pub fn panics() -> u64 {
    PANICS.load(Ordering::Relaxed)
}

/// Runs `work`; a panic in it becomes its message and place.
pub fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work))
        .map_err(|_| LAST_PANIC.take().unwrap_or_else(|| "panic".to_string()))
}

fn describe(info: &PanicHookInfo<'_>) -> String {
    let message = info.payload_as_str().unwrap_or("panic without a message");
    match info.location() {
        Some(place) => format!(
            "{message} ({}:{})",
            within_its_package(place.file()),
            place.line()
        ),
        None => message.to_string(),
    }
}

/// Drops the part of a source path that depends on the machine:
/// `…/chitchat-0.13.0/src/delta.rs` becomes `chitchat-0.13.0/src/delta.rs`.
fn within_its_package(path: &str) -> &str {
    match path.rfind("/src/") {
        Some(src) => {
            let package = path[..src].rfind('/').map_or(0, |slash| slash + 1);
            &path[package..]
        }
        None => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_path_starts_at_its_package() {
        let elsewhere = "some/where/chitchat-0.13.0/src/transport/udp.rs";
        let here = "chitchat-0.13.0/src/transport/udp.rs";
        assert_eq!(within_its_package(elsewhere), here);
        assert_eq!(within_its_package(here), here);
        assert_eq!(within_its_package("udp.rs"), "udp.rs");
    }
}
