-- Messages about what the catalog itself has no transaction with, that wait to be delivered. One without a payload
-- has been delivered; it stays until its queue has a message about something else.
create table outbox (
    queue text not null,
    number integer not null,
    id text not null,
    about text not null,
    payload text,
    primary key (queue, number)
) strict;
