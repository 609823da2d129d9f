-- How many of the unchanged, stale and duplicate records of a run are mentions: users that were seen inside issues and
-- changed nothing, as JSON. Null for runs that ended before this was counted.
alter table cdm_metadata.run add column mentions json;
