create table cdm_metadata.outbox (
    queue text collate "C" not null,
    number bigint not null,
    id text not null,
    about text not null,
    payload text,
    primary key (queue, number)
);
comment on table cdm_metadata.outbox is
    'Messages that wait to be delivered. One without a payload has been delivered.';
