use endpoint_api::{ListedReject, RejectFilter, RejectQuery};

use crate::{endpoints::Opened, failure::Failure};

/// How many characters of an id tables show.
const SHORT: usize = 12;

/// The maximum number of rejects that are named when the beginning of an id is that of several.
const CANDIDATES: usize = 5;

/// The rejects that are read at a time, where the sink does not find them by the beginning of the id.
const PAGE: usize = 64;

/// The beginning of an id, as tables show it.
pub(crate) fn short(id: &str) -> String {
    id.chars().take(SHORT).collect()
}

/// The rejects of these ids, all of which have to be there. The beginning of an id is enough when no other one begins
/// so.
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
    if let Some(reject) = whole(sink, id).await? {
        return Ok(reject);
    }
    let mut candidates = if id.is_empty() { Vec::new() } else { beginning(sink, id).await? };
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

/// The reject of this id.
async fn whole(sink: &Opened, id: &str) -> Result<Option<ListedReject>, Failure> {
    Ok(match sink.reject_listing() {
        Some(listing) => listing.list(&RejectFilter::by_ids([id.to_owned()]), 0, 1).await?.pop(),
        None => {
            sink.sink()?.rejects(&RejectQuery::by_id(id)).await?.pop().map(|reject| ListedReject::new(reject, None))
        }
    })
}

/// The rejects whose ids begin so; of many the first ones.
async fn beginning(sink: &Opened, prefix: &str) -> Result<Vec<ListedReject>, Failure> {
    if let Some(listing) = sink.reject_listing() {
        return Ok(listing.list(&RejectFilter::by_id_prefix(prefix), 0, CANDIDATES + 1).await?);
    }
    let (mut found, mut offset) = (Vec::new(), 0);
    loop {
        let page = sink.sink()?.rejects(&RejectQuery::newest(PAGE).skip(offset)).await?;
        if page.is_empty() || found.len() > CANDIDATES {
            return Ok(found);
        }
        offset += page.len();
        let alike = page.into_iter().filter(|reject| reject.id.starts_with(prefix));
        found.extend(alike.map(|reject| ListedReject::new(reject, None)));
    }
}
