use endpoint_api::{ListedReject, RejectFilter};

use super::newest;
use crate::{endpoints::Opened, failure::Failure};

/// How many characters of an id tables show.
const SHORT: usize = 12;

/// The maximum number of rejects that are named when the beginning of an id is that of several.
const CANDIDATES: usize = 5;

/// The beginning of an id, as tables show it.
pub(crate) fn short(id: &str) -> String {
    id.chars().take(SHORT).collect()
}

/// The rejects of these ids, all of which have to be there, without their records. The beginning of an id is enough when
/// no other one begins so.
pub(super) async fn by_ids(sink: &Opened, ids: &[String]) -> Result<Vec<ListedReject>, Failure> {
    let mut found: Vec<ListedReject> = Vec::with_capacity(ids.len());
    for id in ids {
        let one = by_id(sink, id).await?;
        // The same one may be named twice.
        if found.iter().all(|known| known.reject.id != one.reject.id) {
            found.push(one);
        }
    }
    Ok(found)
}

async fn by_id(sink: &Opened, id: &str) -> Result<ListedReject, Failure> {
    let whole = RejectFilter::by_ids([id.to_owned()]);
    if let Some(reject) = newest(sink, &whole, 1).await?.pop() {
        return Ok(reject);
    }
    // Of many whose ids begin so the first ones.
    let beginning = RejectFilter::by_id_prefix(id);
    let mut candidates = if id.is_empty() { Vec::new() } else { newest(sink, &beginning, CANDIDATES + 1).await? };
    match (candidates.pop(), candidates.as_slice()) {
        (Some(reject), []) => Ok(reject),
        (None, _) => {
            let message = format!("`{0}` holds no reject `{id}`; `cdm rejects list {0}` lists them", sink.id);
            Err(Failure::not_found(message))
        }
        (Some(last), others) => {
            let all = others.iter().chain([&last]).map(|listed| listed.reject.id.as_str()).take(CANDIDATES);
            let more = if others.len() < CANDIDATES { "" } else { " and more" };
            let all: Vec<&str> = all.collect();
            Err(Failure::usage(format!(
                "the ids of several rejects of `{}` begin with `{id}`: {}{more}; give more characters of the id",
                sink.id,
                all.join(", ")
            )))
        }
    }
}
