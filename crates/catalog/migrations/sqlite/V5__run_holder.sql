-- Who worked on a run last: the machine and the process there. And how many slices its plan has. Null for what was
-- written by earlier versions.
alter table run add column host text;
alter table run add column process integer;
alter table run add column planned integer;
