//! The oracle on the versions whose decoder is not public: messages are sent
//! over loopback to the crate's own `UdpTransport`.
//!
//! Each message of a window leaves from a socket of its own, so the sender's
//! port says which message an envelope or a warning belongs to: order does not
//! matter, and nothing can be assigned to the wrong message. A valid message
//! from one more socket, the sentinel, closes the window; it is behind the
//! others in the receiver's queue. A window that is incomplete when the
//! sentinel arrives (a datagram lost, or more than one panic) is thrown away
//! with its sockets and asked again, message by message.

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use super::answer::Answer;
use super::{Decoder, warnings};
use crate::crash::guarded;

const LOOPBACK: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

const WINDOW_MESSAGES: usize = 64;
/// What a window may take of the receiver's socket buffer, whose default on
/// Linux is 212,992 bytes.
const WINDOW_COST: usize = 120_000;

const PATIENCE: Duration = Duration::from_secs(5);
const ATTEMPTS: usize = 3;

/// What the kernel charges for a queued datagram: its bytes, rounded up to
/// the next power of two at worst, and its bookkeeping.
fn cost(message: &[u8]) -> usize {
    2 * message.len() + 1_280
}

/// One chitchat version's `UdpTransport`, opened on a free port of loopback.
pub trait Transport: Sized {
    type Message: std::fmt::Debug;

    /// A message that every node of this version accepts, to close a window.
    const SENTINEL: &[u8];

    async fn open() -> anyhow::Result<(Self, SocketAddr)>;
    async fn recv(&mut self) -> anyhow::Result<(SocketAddr, Self::Message)>;
    async fn send(&mut self, to: SocketAddr, message: Self::Message) -> anyhow::Result<()>;
}

macro_rules! transport {
    ($module:ident, $chitchat:ident, $message:ident, $sentinel:expr, |$received:ident| $parts:expr) => {
        pub mod $module {
            use std::net::{SocketAddr, UdpSocket};

            use $chitchat::transport::{Socket, Transport, UdpTransport};

            pub struct Wire(Box<dyn Socket>);

            impl super::Transport for Wire {
                type Message = $chitchat::$message;

                const SENTINEL: &[u8] = $sentinel;

                async fn open() -> anyhow::Result<(Wire, SocketAddr)> {
                    // Before 0.13 a socket does not tell its port, so it is chosen first.
                    let free = UdpSocket::bind(super::LOOPBACK)?.local_addr()?;
                    Ok((Wire(UdpTransport.open(free).await?), free))
                }

                async fn recv(&mut self) -> anyhow::Result<(SocketAddr, Self::Message)> {
                    let $received = self.0.recv().await?;
                    Ok($parts)
                }

                async fn send(
                    &mut self,
                    to: SocketAddr,
                    message: Self::Message,
                ) -> anyhow::Result<()> {
                    self.0.send(to, message).await?;
                    Ok(())
                }
            }
        }
    };
}

// The sentinels are BadCluster, without and with the magic number.
transport!(v0_5, chitchat_0_5, ChitchatMessage, &[3], |pair| pair);
transport!(v0_7, chitchat_0_7, ChitchatMessage, &[3], |pair| pair);
transport!(
    v0_9,
    chitchat_0_9,
    ChitchatMessage,
    &[0x53, 0xb0, 0, 3],
    |pair| pair
);
transport!(
    v0_12,
    chitchat_0_12,
    ChitchatEnvelope,
    &[0x53, 0xb0, 0, 3],
    |pair| pair
);
transport!(
    v0_13,
    chitchat_0_13,
    ChitchatEnvelope,
    &[0x53, 0xb0, 0, 3],
    |outcome| (outcome.from_addr, outcome.envelope)
);

/// A decoder that asks a real transport.
pub struct Oracle<T> {
    runtime: Runtime,
    sockets: Sockets<T>,
    reencode: bool,
}

impl<T: Transport> Oracle<T> {
    pub fn open(reencode: bool) -> anyhow::Result<Oracle<T>> {
        warnings::catch()?;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let sockets = runtime.block_on(Sockets::open())?;
        Ok(Oracle {
            runtime,
            sockets,
            reencode,
        })
    }

    /// The answers for one window, or None if one is missing.
    fn ask(&mut self, window: &[Vec<u8>]) -> anyhow::Result<Option<Vec<Answer>>> {
        self.sockets.send(window)?;
        let collecting = self.sockets.collect(window, self.reencode);
        let answers = self
            .runtime
            .block_on(async { timeout(PATIENCE, collecting).await });
        match answers {
            Ok(answers) => answers,
            Err(_) => Ok(None),
        }
    }

    /// Like `ask`, for one message, as often as it takes.
    fn insist(&mut self, message: &Vec<u8>) -> anyhow::Result<Answer> {
        for _ in 0..ATTEMPTS {
            let answers = self.ask(std::slice::from_ref(message))?;
            if let Some(answer) = answers.and_then(|mut answers| answers.pop()) {
                return Ok(answer);
            }
            self.reopen()?;
        }
        bail!(
            "no answer about a message of {} bytes after {ATTEMPTS} attempts",
            message.len()
        )
    }

    /// Leaves behind whatever may still be on its way to the old sockets.
    fn reopen(&mut self) -> anyhow::Result<()> {
        self.sockets = self.runtime.block_on(Sockets::open())?;
        Ok(())
    }
}

impl<T: Transport> Decoder for Oracle<T> {
    fn decode(&mut self, messages: &[Vec<u8>]) -> anyhow::Result<Vec<Answer>> {
        let mut answers = Vec::with_capacity(messages.len());
        let mut rest = messages;
        while !rest.is_empty() {
            let (window, after) = rest.split_at(window_length(rest));
            match self.ask(window)? {
                Some(window_answers) => answers.extend(window_answers),
                None => {
                    self.reopen()?;
                    for message in window {
                        answers.push(self.insist(message)?);
                    }
                }
            }
            rest = after;
        }
        Ok(answers)
    }
}

/// How many of the messages make the next window: at least one.
fn window_length(messages: &[Vec<u8>]) -> usize {
    let mut total = 0;
    let fitting = messages.iter().take(WINDOW_MESSAGES).take_while(|message| {
        total += cost(message);
        total <= WINDOW_COST
    });
    fitting.count().max(1)
}

/// The crate's transport, our senders, and a socket that the crate sends to.
struct Sockets<T> {
    transport: T,
    address: SocketAddr,
    senders: Vec<UdpSocket>,
    sender_index: HashMap<SocketAddr, usize>,
    sentinel: UdpSocket,
    capture: UdpSocket,
}

impl<T: Transport> Sockets<T> {
    async fn open() -> anyhow::Result<Sockets<T>> {
        let (transport, address) = T::open().await?;
        let mut senders = Vec::new();
        let mut sender_index = HashMap::new();
        for index in 0..WINDOW_MESSAGES {
            let sender = UdpSocket::bind(LOOPBACK)?;
            sender_index.insert(sender.local_addr()?, index);
            senders.push(sender);
        }
        let capture = UdpSocket::bind(LOOPBACK)?;
        capture.set_read_timeout(Some(PATIENCE))?;
        Ok(Sockets {
            transport,
            address,
            senders,
            sender_index,
            sentinel: UdpSocket::bind(LOOPBACK)?,
            capture,
        })
    }

    fn send(&self, window: &[Vec<u8>]) -> anyhow::Result<()> {
        for (sender, message) in self.senders.iter().zip(window) {
            sender.send_to(message, self.address)?;
        }
        self.sentinel.send_to(T::SENTINEL, self.address)?;
        Ok(())
    }

    /// Receives until the sentinel arrives. None if an answer is missing then.
    async fn collect(
        &mut self,
        window: &[Vec<u8>],
        reencode: bool,
    ) -> anyhow::Result<Option<Vec<Answer>>> {
        let sentinel = self.sentinel.local_addr()?;
        let mut answers: Vec<Option<Answer>> = window.iter().map(|_| None).collect();
        let mut panics = Vec::new();
        loop {
            let received = guarded_future(self.transport.recv()).await;
            for refusal in warnings::take() {
                if let Some(index) = self.index_of(refusal.from, window)
                    && refusal.length <= window[index].len()
                {
                    answers[index] = Some(refusal.answer);
                }
            }
            match received {
                Ok(Ok((from, _))) if from == sentinel => break,
                Ok(Ok((from, message))) => {
                    if let Some(index) = self.index_of(from, window) {
                        answers[index] = Some(self.accept(message, reencode).await?);
                    }
                }
                Ok(Err(broken)) => return Err(broken),
                Err(panic) => panics.push(panic),
            }
        }
        Ok(complete(answers, panics))
    }

    fn index_of(&self, from: SocketAddr, window: &[Vec<u8>]) -> Option<usize> {
        let index = *self.sender_index.get(&from)?;
        (index < window.len()).then_some(index)
    }

    async fn accept(&mut self, message: T::Message, reencode: bool) -> anyhow::Result<Answer> {
        let answer = Answer::accepted(&message);
        if reencode {
            Ok(answer.with_encoding(self.encode(message).await?))
        } else {
            Ok(answer)
        }
    }

    /// Has the crate send the message, and catches the datagram. The inner
    /// error is a panic in its encoder, or a message too large to be sent.
    async fn encode(&mut self, message: T::Message) -> anyhow::Result<Result<Vec<u8>, String>> {
        let to = self.capture.local_addr()?;
        match guarded_future(self.transport.send(to, message)).await {
            Ok(Ok(())) => {
                let mut datagram = vec![0; super::MAX_DATAGRAM];
                let length = self
                    .capture
                    .recv(&mut datagram)
                    .context("the crate's own encoding did not arrive")?;
                datagram.truncate(length);
                Ok(Ok(datagram))
            }
            Ok(Err(unsendable)) => Ok(Err(format!("{unsendable:#}"))),
            Err(panic) => Ok(Err(panic)),
        }
    }
}

/// A panic does not say which message caused it, but one panic and one
/// missing answer belong together.
fn complete(mut answers: Vec<Option<Answer>>, mut panics: Vec<String>) -> Option<Vec<Answer>> {
    let mut missing = answers.iter_mut().filter(|answer| answer.is_none());
    if let (Some(answer), None) = (missing.next(), missing.next())
        && panics.len() == 1
    {
        *answer = panics.pop().map(Answer::panicked);
    }
    answers.into_iter().collect()
}

/// Runs a future; a panic in it becomes its message and place.
async fn guarded_future<F: Future>(future: F) -> Result<F::Output, String> {
    let mut future = pin!(future);
    poll_fn(|context| match guarded(|| future.as_mut().poll(context)) {
        Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
        Ok(Poll::Pending) => Poll::Pending,
        Err(panic) => Poll::Ready(Err(panic)),
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_holds_one_message_however_large() {
        assert_eq!(window_length(&vec![vec![0; 65_507]; 3]), 1);
    }

    #[test]
    fn a_window_is_bounded_in_messages_and_in_cost() {
        assert_eq!(window_length(&vec![vec![0; 4]; 1_000]), WINDOW_MESSAGES);
        let messages = vec![vec![0; 10_000]; 1_000];
        let total: usize = messages[..window_length(&messages)]
            .iter()
            .map(|message| cost(message))
            .sum();
        assert!(total <= WINDOW_COST);
    }

    #[test]
    fn one_panic_is_the_answer_for_the_one_message_without() {
        let answers = vec![Some(Answer::accepted(&1)), None];
        let complete = complete(answers, vec!["out of range".to_string()]);
        let text = serde_json::to_string(&complete.unwrap()).unwrap();
        assert_eq!(
            text,
            r#"[{"ok":true,"debug":"1"},{"ok":false,"panic":"out of range"}]"#
        );
    }

    #[test]
    fn a_missing_answer_without_a_panic_of_its_own_spoils_the_window() {
        let panics = |count: usize| vec!["out of range".to_string(); count];
        assert!(complete(vec![None], panics(0)).is_none());
        assert!(complete(vec![None, None], panics(1)).is_none());
        assert!(complete(vec![None, None], panics(2)).is_none());
    }
}
