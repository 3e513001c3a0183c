//! One number that two targets share only if they compute the same model in every bit.

use crate::memory::Line;
use crate::sampler::Sampler;
use crate::session::{Session, SessionError};

/// FNV-1a in 64 bits (Fowler, Noll and Vo): needs no table and works byte by byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fnv1a(u64);

impl Fnv1a {
    const EMPTY: Self = Self(0xCBF2_9CE4_8422_2325);

    fn push(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
        }
    }
}

/// Tells a story of exactly `tokens` tokens after `prompt` and hashes all of it with 64-bit FNV-1a.
///
/// The session takes the end-of-story token, which resets it, and the prompt. Then `tokens` times: the bits of all
/// logits are hashed in the order of the rows, 4 bytes little-endian each; a token is drawn; its number is hashed, 2
/// bytes little-endian; and the session takes it. An end of story within is drawn and taken like any other token.
///
/// # Errors
/// [`SessionError::NoEndOfStory`] if the model has no such token, [`SessionError::Token`] if `prompt` holds one
/// outside the vocabulary.
pub fn fingerprint<A: AsRef<[Line]> + AsMut<[Line]>>(
    session: &mut Session<'_, A>,
    sampler: &mut Sampler,
    prompt: &[u16],
    tokens: usize,
) -> Result<u64, SessionError> {
    let eot = session.model().config().eot.ok_or(SessionError::NoEndOfStory)?;
    session.check(prompt)?;
    session.step(eot as u16)?;
    session.prefill(prompt)?;
    let mut hash = Fnv1a::EMPTY;
    for _ in 0..tokens {
        session.logits(|_, rows| {
            for logit in rows {
                hash.push(&logit.to_bits().to_le_bytes());
            }
        })?;
        let token = session.sample(sampler)?;
        hash.push(&token.to_le_bytes());
        session.step(token)?;
    }
    Ok(hash.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ModelConfig;
    use crate::kernels::Kernels;
    use crate::model::Model;
    use crate::sampler::SamplerConfig;
    use crate::testing::{SMALL, random_blob};

    #[test]
    fn hash_of_the_published_vectors() {
        for (text, want) in
            [("", 0xCBF2_9CE4_8422_2325), ("a", 0xAF63_DC4C_8601_EC8C), ("foobar", 0x8594_4171_F739_67E8)]
        {
            let mut hash = Fnv1a::EMPTY;
            hash.push(text.as_bytes());
            assert_eq!(hash.0, want, "{text}");
        }
    }

    #[test]
    fn fingerprint_is_the_same_at_every_level_and_whatever_came_before() {
        let blob = random_blob(&SMALL, 4);
        let model = Model::from_bytes(blob.bytes()).unwrap();
        let of = |kernels, seed, prompt: &[u16]| {
            let mut session = Session::on_heap(model, kernels);
            session.prefill(&[7; 5]).unwrap();
            let mut sampler = Sampler::new(SamplerConfig { seed, ..Default::default() }).unwrap();
            fingerprint(&mut session, &mut sampler, prompt, 20).unwrap()
        };
        let want = of(Kernels::scalar(), 1, &[1, 2, 3]);
        for kernels in Kernels::available() {
            assert_eq!(of(kernels, 1, &[1, 2, 3]), want, "{:?}", kernels.level());
        }
        assert_ne!(of(Kernels::scalar(), 2, &[1, 2, 3]), want);
        assert_ne!(of(Kernels::scalar(), 1, &[1, 2, 4]), want);
    }

    #[test]
    fn fingerprint_refuses_what_the_session_refuses() {
        let blob = random_blob(&SMALL, 4);
        let mut session = Session::on_heap(Model::from_bytes(blob.bytes()).unwrap(), Kernels::scalar());
        let mut sampler = Sampler::new(SamplerConfig::default()).unwrap();
        assert_eq!(fingerprint(&mut session, &mut sampler, &[1, 300], 1), Err(SessionError::Token(300)));
        assert_eq!(session.position(), 0);
        let blob = random_blob(&ModelConfig { eot: None, ..SMALL }, 4);
        let mut session = Session::on_heap(Model::from_bytes(blob.bytes()).unwrap(), Kernels::scalar());
        assert_eq!(fingerprint(&mut session, &mut sampler, &[1], 1), Err(SessionError::NoEndOfStory));
    }
}
