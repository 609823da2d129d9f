create table cdm_metadata.endpoint (
    id text collate "C" primary key,
    driver text not null,
    roles json not null,
    config json not null,
    version bigint not null,
    registered_at timestamptz not null,
    updated_at timestamptz not null
);
comment on table cdm_metadata.endpoint is
    'Configured driver instances. config holds references, no secrets.';

create table cdm_metadata.dataset (
    id text collate "C" primary key,
    kind text not null,
    endpoint_id text not null,
    unit_id text,
    model_id text,
    model_version text,
    provisioned_version text,
    plan_hash text,
    provisioned_at timestamptz,
    location text not null,
    description text not null,
    fields json not null,
    upstream json not null,
    version bigint not null,
    registered_at timestamptz not null,
    updated_at timestamptz not null
);
comment on table cdm_metadata.dataset is
    'What the system knows of datasets; overwritten when it registers them.';

create table cdm_metadata.dataset_annotation (
    dataset_id text collate "C" primary key,
    description text,
    owner text,
    tags json,
    version bigint not null,
    annotated_at timestamptz not null
);
comment on table cdm_metadata.dataset_annotation is
    'What people wrote about datasets; the system never writes here.';

create table cdm_metadata.dataset_load (
    dataset_id text collate "C" primary key,
    run_id text not null,
    loaded_at timestamptz not null,
    row_count bigint
);
comment on table cdm_metadata.dataset_load is
    'The last load into each dataset.';

create table cdm_metadata.run (
    id text collate "C" primary key,
    name text not null,
    source text not null,
    unit text not null,
    sink text not null,
    mode text not null,
    model_id text,
    status text not null,
    attempt bigint not null,
    started_at timestamptz not null,
    continued_at timestamptz not null,
    ended_at timestamptz,
    read_count bigint,
    inserted bigint,
    updated bigint,
    unchanged bigint,
    stale bigint,
    duplicate bigint,
    rejected bigint,
    slices bigint,
    incomplete json,
    checkpoint json,
    error text
);
comment on table cdm_metadata.run is
    'Executions of ingestions. A run that is running may also be one whose process was killed.';

create index run_started_at on cdm_metadata.run (started_at, id);
