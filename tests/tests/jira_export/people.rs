//! Who is who: users are known by an account id, a key or a name, the first being the best.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::values::id;

const MEMBERS: [&str; 3] = ["accountId", "key", "name"];

/// The users behind the keys and the names of an export, as its own users tell.
#[derive(Debug, Default)]
pub(crate) struct People {
    /// By member and id, the best ids of all the users that have it.
    known: BTreeMap<(&'static str, String), BTreeSet<String>>,
}

/// By which member a user is named, and the id that stands there.
pub(crate) fn named(user: &Value) -> Option<(&'static str, String)> {
    MEMBERS.into_iter().find_map(|member| Some((member, id(&user[member])?)))
}

impl People {
    pub(crate) fn of(users: &[Value]) -> Self {
        let mut known: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();
        for user in users {
            let [account, key, name] = MEMBERS.map(|member| user[member].as_str().filter(|id| !id.is_empty()));
            for (lesser, best) in [(key.map(|key| ("key", key)), account), (name.map(|n| ("name", n)), account.or(key))]
            {
                if let (Some((member, lesser)), Some(best)) = (lesser, best) {
                    known.entry((member, lesser.to_owned())).or_default().insert(best.to_owned());
                }
            }
        }
        // A name may lead to a key that leads to an account.
        let keys = Self { known: known.clone() };
        for ((member, _), best) in &mut known {
            if *member == "name" {
                *best = best.iter().map(|best| keys.best("key", best)).collect();
            }
        }
        Self { known }
    }

    /// The id of the one user behind an id; where there are several, or none is known, the id itself.
    fn best(&self, member: &'static str, id: &str) -> String {
        match self.known.get(&(member, id.to_owned())) {
            Some(best) if best.len() == 1 => best.first().unwrap().clone(),
            _ => id.to_owned(),
        }
    }

    /// The id by which the user is known in the model; none when only a display name is told.
    pub(crate) fn id(&self, user: &Value) -> Option<String> {
        let (member, id) = named(user)?;
        Some(self.best(member, &id))
    }
}
