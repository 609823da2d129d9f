use uuid::{Builder, Uuid, Variant, Version};

/// What tells these ids from others that are made of the same text.
const CONTEXT: &str = "cdm openlineage run id";

/// The id that OpenLineage knows a run by, which is a UUID: the run's own id where that is one, else one that
/// follows from it, the same each time.
pub fn run_id(run: &str) -> Uuid {
    Uuid::try_parse(run).unwrap_or_else(|_| {
        let mut bytes = [0; 16];
        blake3::Hasher::new_derive_key(CONTEXT).update(run.as_bytes()).finalize_xof().fill(&mut bytes);
        Builder::from_bytes(bytes).with_variant(Variant::RFC4122).with_version(Version::Custom).into_uuid()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_has_a_uuid_keeps_it() {
        let own = "01a20b63-c93b-7587-aca8-1afbd8f7f5d0";
        assert_eq!(run_id(own).to_string(), own);
    }

    #[test]
    fn another_id_becomes_a_uuid_that_is_the_same_each_time() {
        // It is stored by others: what it is for a text never changes.
        let told = run_id("01a20b63-c93b-7587-aca8-1afbd8f7f5d0-1").to_string();
        assert_eq!(told, "610d18b4-72b0-85c8-bde9-81c6a8adfef8");
        assert_eq!(run_id("nightly"), run_id("nightly"));
        assert_ne!(run_id("nightly"), run_id("nightly-1"));
        assert_eq!(run_id("nightly").get_version(), Some(Version::Custom));
        assert_eq!(run_id("nightly").get_variant(), Variant::RFC4122);
    }
}
