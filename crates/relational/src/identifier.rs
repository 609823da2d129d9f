use std::fmt;

use endpoint_api::{Error, ErrorKind, Result};

/// The name of a schema, table, column or index. `Display` quotes it, so that whatever it holds is a
/// name in a statement and nothing else.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identifier(String);

/// The longest name that PostgreSQL keeps, in bytes; a longer one it would cut off silently.
const LONGEST: usize = 63;

impl Identifier {
    /// Checks a name.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] when it is empty, longer than 63 bytes or holds U+0000.
    pub fn new(name: impl Into<String>) -> Result<Self> {
        let name = name.into();
        let refuse = |why: &str| Err(Error::new(ErrorKind::Config, "name an object", format!("`{name}` {why}")));
        if name.is_empty() {
            return Err(Error::new(ErrorKind::Config, "name an object", "a name must not be empty"));
        }
        if name.contains('\0') {
            return Err(Error::new(ErrorKind::Config, "name an object", "a name must not hold U+0000"));
        }
        if name.len() > LONGEST {
            return refuse(&format!(
                "has {} bytes as a name; databases take {LONGEST}. Choose a shorter schema or table prefix",
                name.len()
            ));
        }
        Ok(Self(name))
    }

    /// The name of an index or the like, which people need not choose: one that is too long is cut
    /// and made unique again by a hash of the whole.
    pub fn derived(name: &str) -> Self {
        if name.len() <= LONGEST {
            return Self(name.to_owned());
        }
        let hash: String = blake3::hash(name.as_bytes()).to_hex().chars().take(8).collect();
        let room = LONGEST - hash.len() - 1;
        let cut = (0..=room).rev().find(|at| name.is_char_boundary(*at)).unwrap_or(0);
        Self(format!("{}_{hash}", name.get(..cut).unwrap_or_default()))
    }

    /// The bare name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Identifier {
    /// In double quotes, with those within doubled.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.replace('"', "\"\""))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_63_byte_rule_counts_bytes() {
        assert!(Identifier::new("a".repeat(63)).is_ok());
        let error = Identifier::new("a".repeat(64)).unwrap_err();
        assert!(error.to_string().contains("has 64 bytes as a name; databases take 63"), "{error}");
        assert!(Identifier::new("é".repeat(32)).is_err());
        assert!(Identifier::new("").is_err());
        assert!(Identifier::new("a\0b").is_err());
    }

    #[test]
    fn a_derived_name_is_short_and_still_its_own() {
        let one = Identifier::derived(&format!("{}_one", "table".repeat(20)));
        let two = Identifier::derived(&format!("{}_two", "table".repeat(20)));
        assert!(one.as_str().len() <= 63 && two.as_str().len() <= 63);
        assert_ne!(one, two);
        assert_eq!(Identifier::derived("short").as_str(), "short");
        assert!(Identifier::derived(&"é".repeat(40)).as_str().len() <= 63);
    }

    proptest! {
        /// The oracle: reading a quoted name as a database does gives the name back, to its end.
        #[test]
        fn a_quoted_name_reads_back_as_itself(name in "[^\0]{1,15}") {
            let quoted = Identifier::new(name.clone()).unwrap().to_string();
            let inner = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap();
            let mut read = String::new();
            let mut chars = inner.chars();
            while let Some(char) = chars.next() {
                if char == '"' {
                    prop_assert_eq!(chars.next(), Some('"'), "the name would end within {}", quoted);
                }
                read.push(char);
            }
            prop_assert_eq!(read, name);
        }
    }
}
