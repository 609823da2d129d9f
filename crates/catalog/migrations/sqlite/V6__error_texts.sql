-- Earlier versions kept the words of a database in the error of a run, and of an event that waits to be delivered.
-- A trigger can put the value of a cell into them. The code stays.
update run
set error = 'the text of this error was removed because it could hold the value of a cell'
    || case when instr(error, '(SQLSTATE ') > 0 then ' ' || substr(error, instr(error, '(SQLSTATE '), 16) else '' end
where (error like '%(SQLSTATE _____)%' and error not like '%the data does not fit (SQLSTATE %')
    or error like '%a row does not fit its table: %'
    or error like '%SQLite refuses a statement of the %';
update outbox
set payload = json_set(payload, '$.run.facets.errorMessage.message',
    'the text of this error was removed because it could hold the value of a cell')
where json_valid(payload) and json_extract(payload, '$.run.facets.errorMessage.message') is not null
    and (payload like '%(SQLSTATE _____)%' or payload like '%a row does not fit its table: %'
        or payload like '%SQLite refuses a statement of the %');
