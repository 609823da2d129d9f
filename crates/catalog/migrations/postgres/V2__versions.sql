create table cdm_metadata.dataset_version (
    dataset_id text collate "C" not null,
    version bigint not null,
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
    mapping json,
    cause text,
    cause_id text,
    registered_at timestamptz not null,
    stated_at timestamptz not null,
    primary key (dataset_id, version)
);
comment on table cdm_metadata.dataset_version is
    'What the system knows of datasets: each version of it. Rows are added and never changed; the one with the greatest version is what is known now.';
comment on column cdm_metadata.dataset_version.cause is
    'Why it was stated; null where nobody wrote that down.';

insert into cdm_metadata.dataset_version (dataset_id, version, kind, endpoint_id, unit_id, model_id, model_version,
    provisioned_version, plan_hash, provisioned_at, location, description, fields, upstream, registered_at, stated_at)
select id, version, kind, endpoint_id, unit_id, model_id, model_version,
    provisioned_version, plan_hash, provisioned_at, location, description, fields, upstream, registered_at, updated_at
from cdm_metadata.dataset;

drop table cdm_metadata.dataset;

create table cdm_metadata.annotation_version (
    dataset_id text collate "C" not null,
    version bigint not null,
    description text,
    owner text,
    tags json not null,
    notes json not null,
    expect_every_seconds bigint,
    expect_rows_from bigint,
    expect_rows_to bigint,
    annotated_at timestamptz not null,
    primary key (dataset_id, version)
);
comment on table cdm_metadata.annotation_version is
    'What people wrote about datasets: each version of it. Rows are added and never changed; the system never writes here.';

insert into cdm_metadata.annotation_version (dataset_id, version, description, owner, tags, notes, annotated_at)
select dataset_id, version, description, owner, coalesce(tags, '[]'), '{}', annotated_at
from cdm_metadata.dataset_annotation;

drop table cdm_metadata.dataset_annotation;
