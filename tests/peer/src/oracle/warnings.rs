//! Catches the crate's own warning about a datagram that it refuses.
//!
//! `UdpTransport` skips such a datagram, so its warning is the only place
//! where the reason can be read. The warning is a `tracing` event with the
//! fields `payload_len`, `from` and `err`.

use std::cell::RefCell;
use std::fmt::{self, Debug};
use std::net::SocketAddr;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use super::answer::Answer;

/// A datagram that the node refused.
pub struct Refusal {
    pub from: SocketAddr,
    pub length: usize,
    pub answer: Answer,
}

thread_local! {
    static REFUSALS: RefCell<Vec<Refusal>> = const { RefCell::new(Vec::new()) };
}

/// Starts to catch warnings. To be called once in a process.
pub fn catch() -> anyhow::Result<()> {
    Ok(tracing::subscriber::set_global_default(Catcher)?)
}

/// The refusals that this thread has caught since the last call.
pub fn take() -> Vec<Refusal> {
    REFUSALS.take()
}

struct Catcher;

impl Subscriber for Catcher {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let fields = metadata.fields();
        metadata.is_event()
            && metadata.target().starts_with("chitchat")
            && ["payload_len", "from", "err"]
                .into_iter()
                .all(|name| fields.field(name).is_some())
    }

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        if let Fields {
            from: Some(from),
            length: Some(length),
            answer: Some(answer),
        } = fields
        {
            let refusal = Refusal {
                from,
                length,
                answer,
            };
            REFUSALS.with_borrow_mut(|refusals| refusals.push(refusal));
        }
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[derive(Default)]
struct Fields {
    from: Option<SocketAddr>,
    length: Option<usize>,
    answer: Option<Answer>,
}

impl Visit for Fields {
    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "payload_len" {
            self.length = usize::try_from(value).ok();
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        match field.name() {
            "from" => self.from = format!("{value:?}").parse().ok(),
            "err" => self.answer = Some(Answer::refused(&Displayed(value))),
            _ => {}
        }
    }
}

/// The crate logs its reason with `%err`. tracing hands that over as a `Debug`
/// value that writes the `Display` text, and passes on the flag of `{:#}`.
struct Displayed<'a>(&'a dyn Debug);

impl fmt::Display for Displayed<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}
