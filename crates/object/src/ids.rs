//! Names and UIDs that must be unique, drawn from a seed that the caller provides.

/// Characters of generated name suffixes: no vowels and no look-alikes, as in Kubernetes' `rand.String`.
const SUFFIX_ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
/// Length of a generated name suffix, in characters.
const SUFFIX_LEN: usize = 5;
/// Longest base a suffix is appended to, in bytes: the result stays a DNS label of at most 63.
const GENERATED_BASE_BYTES_MAX: usize = 58;

/// A seeded source of UIDs and name suffixes. The same seed gives the same sequence, so whoever decides with it
/// stays a function of its inputs; the edge of the program seeds it from the operating system.
#[derive(Clone, Debug)]
pub struct Ids(fastrand::Rng);

impl Ids {
    /// A source whose whole output is determined by `seed`.
    pub fn seeded(seed: u64) -> Self {
        Ids(fastrand::Rng::with_seed(seed))
    }

    /// A second source, determined by this one but giving other values.
    #[must_use]
    pub fn fork(&mut self) -> Self {
        Ids(self.0.fork())
    }

    /// A random (version 4) UUID in its usual text form.
    pub fn uid(&mut self) -> String {
        uuid::Builder::from_random_bytes(self.0.u128(..).to_ne_bytes()).into_uuid().to_string()
    }

    /// `base` with a random suffix, as the API server completes `metadata.generateName`.
    pub fn name(&mut self, base: &str) -> String {
        let cut = base.floor_char_boundary(GENERATED_BASE_BYTES_MAX);
        let mut name = String::with_capacity(cut + SUFFIX_LEN);
        name.push_str(&base[..cut]);
        for _ in 0..SUFFIX_LEN {
            name.push(char::from(SUFFIX_ALPHABET[self.0.usize(..SUFFIX_ALPHABET.len())]));
        }
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_determines_the_sequence() {
        let (mut a, mut b) = (Ids::seeded(7), Ids::seeded(7));
        assert_eq!((a.uid(), a.name("job-")), (b.uid(), b.name("job-")));
        assert_ne!(a.uid(), a.uid());
        let mut fork = a.fork();
        assert_ne!(fork.uid(), a.uid());
    }

    #[test]
    fn generated_names_stay_dns_labels() {
        let name = Ids::seeded(1).name(&"x".repeat(80));
        assert_eq!(name.len(), 63);
        assert!(name.bytes().skip(58).all(|c| SUFFIX_ALPHABET.contains(&c)));
    }
}
