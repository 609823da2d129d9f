-- Who worked on a run last: the machine and the process there. And how many slices its plan has. Null for what was
-- written by earlier versions.
alter table cdm_metadata.run add column host text;
alter table cdm_metadata.run add column process bigint;
alter table cdm_metadata.run add column planned bigint;
