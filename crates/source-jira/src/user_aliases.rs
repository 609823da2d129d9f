//! Users that are known under more than one id, so that a record that names one of them by a lesser id is of the same
//! user as the others.

use std::{
    borrow::Cow,
    collections::{BTreeSet, HashMap},
    fmt::Write as _,
    sync::{Arc, Mutex, PoisonError},
};

use endpoint_api::Result;

use crate::{
    depends,
    issue_parent::{first_value, values},
    json::{id, members},
    key_index::{ENTRY_BYTES, FileStates, RecordFiles, are_settled},
    units::Unit,
};

/// The members that identify a user, the best first.
const USER_IDS: [&str; 3] = ["accountId", "key", "name"];

/// The better ids of the users of an export.
///
/// They are told by the export's own users: a record with an account id and a key, or with a key and a login name.
/// An id that stands for two users stands for none.
#[derive(Debug, Default)]
pub(crate) struct KnownUsers {
    /// The account ids by the key.
    accounts_by_key: Ids,
    /// The account ids by the name.
    accounts_by_name: Ids,
    /// The keys by the name, of users without an account id.
    keys_by_name: Ids,
    /// Of each user record by which a better id may be known, the kind and the id.
    lesser: BTreeSet<(usize, Box<str>)>,
    bytes: usize,
    /// Whether a better id was seen that is another text than the lesser one.
    has_better: bool,
    /// Whether some users did not fit into the budget.
    is_cut: bool,
    /// A file of users that cannot be read.
    pub(crate) unreadable: Option<String>,
}

/// What an id stands for: nothing when it stands for two.
type Ids = HashMap<Box<str>, Option<Box<str>>>;

impl KnownUsers {
    /// Adds what a user's record tells, unless all of it takes more than `budget` bytes.
    pub(crate) fn add(&mut self, json: &str, budget: usize) {
        let Some(found) = members(json, USER_IDS) else { return };
        let [account_id, key, name] =
            found.map(|value| value.and_then(id).filter(|id| !id.contains(['\t', '\n', '\r'])));
        let (account_id, key, name) = (account_id.as_deref(), key.as_deref(), name.as_deref());
        let pairs = [
            (&mut self.accounts_by_key, key, account_id),
            (&mut self.accounts_by_name, name, account_id),
            (&mut self.keys_by_name, name, key.filter(|_| account_id.is_none())),
        ];
        for (ids, id, best) in pairs {
            let (Some(id), Some(best)) = (id, best) else { continue };
            // An id that is both is kept, too: it may stand for somebody else beside.
            self.has_better |= id != best;
            match ids.get_mut(id) {
                Some(known) if known.as_deref() == Some(best) => {}
                Some(known) => *known = None,
                None if self.bytes > budget => self.is_cut = true,
                None => {
                    self.bytes += ENTRY_BYTES + id.len() + best.len();
                    ids.insert(id.into(), Some(best.into()));
                }
            }
        }
        let own = match (account_id, key, name) {
            (None, Some(key), _) => Some((0, key)),
            (None, None, Some(name)) => Some((1, name)),
            _ => None,
        };
        if let Some((kind, id)) = own
            && self.bytes <= budget
            && self.lesser.insert((kind, id.into()))
        {
            self.bytes += ENTRY_BYTES + id.len();
        }
    }

    /// The better id of a user with that key, which is kind 0, or that name.
    fn better(&self, kind: usize, id: &str) -> Option<&str> {
        let account_of = |key| self.accounts_by_key.get(key).and_then(Option::as_deref);
        let best = if kind == 0 {
            account_of(id)
        } else {
            // The user of the key may have an account id in another record.
            let of_key = self.keys_by_name.get(id).map(|key| key.as_deref().map(|key| account_of(key).unwrap_or(key)));
            match (self.accounts_by_name.get(id).map(Option::as_deref), of_key) {
                (Some(account), Some(of_key)) if account != of_key => None,
                (account, of_key) => account.or(of_key)?,
            }
        };
        best.filter(|best| *best != id)
    }

    /// Whether some of the export's users did not fit into memory.
    pub(crate) fn is_cut(&self) -> bool {
        self.is_cut && self.has_better
    }

    /// How many users stand in the export, or are `mentioned` by its records, under a lesser id beside a better one:
    /// those whose better id its users tell, and those whose better id only the mentions tell.
    pub(crate) fn pairs(&self, mentioned: &Self) -> (usize, usize) {
        let lesser: BTreeSet<&(usize, Box<str>)> = self.lesser.union(&mentioned.lesser).collect();
        let resolved = |(kind, id): &(usize, Box<str>)| self.better(*kind, id).is_some();
        let (resolved, others): (Vec<_>, Vec<_>) = lesser.into_iter().partition(|user| resolved(user));
        let unresolved = others.into_iter().filter(|(kind, id)| mentioned.better(*kind, id).is_some());
        (resolved.len(), unresolved.count())
    }

    /// The better ids of the users that a record of `unit` names, as the envelope has them; `None` when there are
    /// none.
    pub(crate) fn of_record(&self, unit: Unit, json: &str) -> Option<String> {
        if !self.has_better {
            return None;
        }
        let mut aliases = String::new();
        for (kind, id) in users_in(unit, json).filter_map(lesser_id) {
            let Some(better) = self.better(kind, &id) else { continue };
            let member = if kind == 0 { "key" } else { "name" };
            let line = format!("{member}\t{id}\t{better}\n");
            if !aliases.contains(&line) {
                let _ = write!(aliases, "{line}");
            }
        }
        (!aliases.is_empty()).then_some(aliases)
    }

    /// Whether a record of `unit` names a user by an id of a kind to which better ones are known, or were.
    pub(crate) fn may_complete(&self, unit: Unit, json: &str) -> bool {
        users_in(unit, json).filter_map(lesser_id).any(|(kind, _)| kind == 1 || !self.accounts_by_key.is_empty())
    }

    /// A digest of the better ids; `None` when there are none.
    pub(crate) fn digest(&self) -> Option<String> {
        let mut better: Vec<[&str; 3]> = Vec::new();
        for (kind, ids) in [("0", &self.accounts_by_key), ("1", &self.accounts_by_name), ("2", &self.keys_by_name)] {
            better.extend(ids.iter().map(|(id, best)| [kind, id, best.as_deref().unwrap_or_default()]));
        }
        better.sort_unstable();
        self.has_better.then(|| depends::digest(better.into_iter().flatten()))
    }
}

/// The users that a record of `unit` names, and the record itself where it is one.
fn users_in(unit: Unit, json: &str) -> impl Iterator<Item = &str> {
    let names: &[&str] = match unit {
        Unit::Users => &[],
        Unit::Projects => &["lead"],
        Unit::Issues => &["assignee", "reporter", "creator"],
        Unit::Comments | Unit::Worklogs => &["author"],
    };
    // Where a user stands does not matter: a better id of somebody whom no field names is not looked up.
    let named = names.iter().flat_map(move |name| values(json, name)).filter(|value| value.starts_with('{'));
    let itself = (unit == Unit::Users).then_some(json);
    named.filter_map(|value| Some(first_value(value)?.get())).chain(itself)
}

/// The id of a user that is named by no account id: its key, which is kind 0, or its name.
fn lesser_id(user: &str) -> Option<(usize, Cow<'_, str>)> {
    match members(user, USER_IDS)?.map(|value| value.and_then(id)) {
        [None, Some(key), _] => Some((0, key)),
        [None, None, Some(name)] => Some((1, name)),
        _ => None,
    }
}

/// Reads the users of an export once and keeps what is known of their ids.
#[derive(Debug)]
pub(crate) struct UserIndex {
    budget: usize,
    known: Mutex<Option<Known>>,
}

#[derive(Debug)]
struct Known {
    files: FileStates,
    users: Arc<KnownUsers>,
}

impl UserIndex {
    /// Keeps at most about `budget` bytes.
    pub(crate) fn new(budget: usize) -> Self {
        Self { budget, known: Mutex::new(None) }
    }

    /// What the files tell of the users' ids.
    pub(crate) fn users(&self, files: &RecordFiles<'_>) -> Result<Arc<KnownUsers>> {
        // Held while the files are read: who comes second would only read them again.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let state = files.state();
        if let Some(known) = known.as_ref().filter(|known| known.files == state) {
            return Ok(Arc::clone(&known.users));
        }
        let mut users = KnownUsers::default();
        let unreadable = files.each(&mut |json| {
            users.add(json, self.budget);
            true
        })?;
        users.unreadable = unreadable.map(str::to_owned);
        let users = Arc::new(users);
        // A file that may yet change without a trace is not to be remembered.
        *known = are_settled(&state).then(|| Known { files: state, users: Arc::clone(&users) });
        Ok(users)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(users: &[&str]) -> KnownUsers {
        let mut known = KnownUsers::default();
        users.iter().for_each(|json| known.add(json, 1 << 20));
        known
    }

    #[test]
    fn a_user_by_name_only_is_the_one_with_that_name_and_a_key() {
        let users = known(&[
            r#"{"key":"JIRAUSER1","name":"jdoe"}"#,
            r#"{"name":"jdoe"}"#,
            r#"{"accountId":"a-1","key":"JIRAUSER2","name":"ada"}"#,
            r#"{"key":"jdoe","name":"john"}"#,
            r#"{"key":"same","name":"same"}"#,
        ]);
        let of = |unit, json| users.of_record(unit, json);
        assert_eq!(of(Unit::Comments, r#"{"author":{"name":"jdoe"}}"#).unwrap(), "name\tjdoe\tJIRAUSER1\n");
        assert_eq!(of(Unit::Users, r#"{"name":"jdoe"}"#).unwrap(), "name\tjdoe\tJIRAUSER1\n");
        assert_eq!(of(Unit::Worklogs, r#"{"author":{"key":"JIRAUSER2"}}"#).unwrap(), "key\tJIRAUSER2\ta-1\n");
        assert_eq!(of(Unit::Projects, r#"{"lead":{"name":"ada"}}"#).unwrap(), "name\tada\ta-1\n");
        let issue = r#"{"fields":{"assignee":{"name":"jdoe"},"reporter":{"name":"jdoe"},"creator":{"name":"john"}}}"#;
        assert_eq!(of(Unit::Issues, issue).unwrap(), "name\tjdoe\tJIRAUSER1\nname\tjohn\tjdoe\n");
        for none in
            [r#"{"author":{"key":"jdoe","name":"john"}}"#, r#"{"author":{"name":"same"}}"#, r#"{"author":null}"#]
        {
            assert_eq!(of(Unit::Comments, none), None, "{none}");
        }
        assert_eq!(users.pairs(&KnownUsers::default()), (1, 0));
    }

    #[test]
    fn users_that_are_only_mentioned_are_counted_as_well() {
        let mentioned = known(&[
            r#"{"key":"JIRAUSER1","name":"jdoe"}"#,
            r#"{"name":"jdoe"}"#,
            r#"{"name":"jdoe"}"#,
            r#"{"name":"ada"}"#,
            r#"{"accountId":"a-1"}"#,
        ]);
        assert_eq!(known(&[]).pairs(&mentioned), (0, 1));
        assert_eq!(known(&[r#"{"key":"JIRAUSER2","name":"ada"}"#]).pairs(&mentioned), (1, 1));
    }

    #[test]
    fn a_name_of_two_users_is_of_neither() {
        let users = known(&[r#"{"key":"k1","name":"ada"}"#, r#"{"key":"k2","name":"ada"}"#]);
        assert_eq!(users.of_record(Unit::Comments, r#"{"author":{"name":"ada"}}"#), None);
    }

    #[test]
    fn a_name_that_is_also_the_key_of_its_user_is_of_nobody_else() {
        let users = known(&[r#"{"key":"admin","name":"admin"}"#, r#"{"key":"k2","name":"admin"}"#]);
        assert_eq!(users.of_record(Unit::Comments, r#"{"author":{"name":"admin"}}"#), None);
        let users = known(&[r#"{"key":"admin","name":"admin"}"#, r#"{"accountId":"a-1","name":"admin"}"#]);
        assert_eq!(users.of_record(Unit::Comments, r#"{"author":{"name":"admin"}}"#), None);
    }

    #[test]
    fn a_name_leads_to_the_account_of_its_key() {
        let users = known(&[
            r#"{"key":"k1","name":"ada"}"#,
            r#"{"accountId":"a-1","key":"k1"}"#,
            r#"{"key":"bo","name":"bo"}"#,
            r#"{"accountId":"a-2","key":"bo","name":"bo"}"#,
        ]);
        let of = |json| users.of_record(Unit::Users, json);
        assert_eq!(of(r#"{"name":"ada"}"#).unwrap(), "name\tada\ta-1\n");
        assert_eq!(of(r#"{"key":"k1","name":"ada"}"#).unwrap(), "key\tk1\ta-1\n");
        assert_eq!(of(r#"{"name":"bo"}"#).unwrap(), "name\tbo\ta-2\n");
        assert_eq!(of(r#"{"key":"bo","name":"bo"}"#).unwrap(), "key\tbo\ta-2\n");
    }

    #[test]
    fn users_beyond_the_budget_are_left_out_and_that_is_said() {
        let mut known = KnownUsers::default();
        for number in 0..100 {
            known.add(&format!("{{\"key\":\"k{number}\",\"name\":\"n{number}\"}}"), 1000);
        }
        assert!(known.is_cut() && known.bytes < 1400, "{}", known.bytes);
    }
}
