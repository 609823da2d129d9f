-- Earlier versions kept the words of a database in the error of a run, and of an event that waits to be delivered.
-- A trigger can put the value of a cell into them. The code stays.
update cdm_metadata.run
set error = 'the text of this error was removed because it could hold the value of a cell'
    || coalesce(' ' || substring(error from '\(SQLSTATE [0-9A-Z]{5}\)'), '')
where (error like '%(SQLSTATE _____)%' and error not like '%the data does not fit (SQLSTATE %')
    or error like '%a row does not fit its table: %'
    or error like '%SQLite refuses a statement of the %';
update cdm_metadata.outbox
set payload = jsonb_set(payload::jsonb, '{run,facets,errorMessage,message}',
    '"the text of this error was removed because it could hold the value of a cell"', false)::text
where payload like '%"errorMessage"%'
    and (payload like '%(SQLSTATE _____)%' or payload like '%a row does not fit its table: %'
        or payload like '%SQLite refuses a statement of the %');
