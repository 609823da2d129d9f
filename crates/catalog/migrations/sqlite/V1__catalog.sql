-- 'cdmc': tells a catalog from the database of another program.
pragma application_id = 1667525987;

-- Times are microseconds since 1970-01-01T00:00:00 UTC.

-- Configured driver instances. config holds references, no secrets.
create table endpoint (
    id text primary key,
    driver text not null,
    roles text not null,
    config text not null,
    version integer not null,
    registered_at integer not null,
    updated_at integer not null
) strict;

-- What the system knows of datasets; overwritten when it registers them.
create table dataset (
    id text primary key,
    kind text not null,
    endpoint_id text not null,
    unit_id text,
    model_id text,
    model_version text,
    provisioned_version text,
    plan_hash text,
    provisioned_at integer,
    location text not null,
    description text not null,
    fields text not null,
    upstream text not null,
    version integer not null,
    registered_at integer not null,
    updated_at integer not null
) strict;

-- What people wrote about datasets; the system never writes here.
create table dataset_annotation (
    dataset_id text primary key,
    description text,
    owner text,
    tags text,
    version integer not null,
    annotated_at integer not null
) strict;

-- The last load into each dataset.
create table dataset_load (
    dataset_id text primary key,
    run_id text not null,
    loaded_at integer not null,
    row_count integer
) strict;

-- Executions of ingestions. A run without an end is running, or its process was killed.
create table run (
    id text primary key,
    name text not null,
    source text not null,
    unit text not null,
    sink text not null,
    mode text not null,
    model_id text,
    status text not null,
    attempt integer not null,
    started_at integer not null,
    continued_at integer not null,
    ended_at integer,
    read_count integer,
    inserted integer,
    updated integer,
    unchanged integer,
    stale integer,
    duplicate integer,
    rejected integer,
    slices integer,
    incomplete text,
    checkpoint text,
    error text
) strict;

create index run_started_at on run (started_at, id);
