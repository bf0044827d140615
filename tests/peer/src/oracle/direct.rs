//! The oracle on chitchat 0.10 and 0.11, whose decoder is public.

use super::Decoder;
use super::answer::Answer;
use crate::crash::guarded;

macro_rules! direct_decoder {
    ($name:ident, $chitchat:ident) => {
        pub struct $name {
            pub reencode: bool,
        }

        impl Decoder for $name {
            fn decode(&mut self, messages: &[Vec<u8>]) -> anyhow::Result<Vec<Answer>> {
                Ok(messages
                    .iter()
                    .map(|bytes| self.decode_one(bytes))
                    .collect())
            }
        }

        impl $name {
            fn decode_one(&self, bytes: &[u8]) -> Answer {
                use $chitchat::{ChitchatMessage, Deserializable, Serializable};

                let mut rest = bytes;
                match guarded(|| ChitchatMessage::deserialize(&mut rest)) {
                    Ok(Ok(message)) => {
                        let answer = Answer::accepted(&message).with_trailing_bytes(rest.len());
                        if self.reencode {
                            answer.with_encoding(guarded(|| message.serialize_to_vec()))
                        } else {
                            answer
                        }
                    }
                    Ok(Err(reason)) => Answer::refused(&reason),
                    Err(panic) => Answer::panicked(panic),
                }
            }
        }
    };
}

direct_decoder!(V0_10, chitchat_0_10);
direct_decoder!(V0_11, chitchat_0_11);
