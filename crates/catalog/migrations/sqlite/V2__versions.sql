-- What the system knows of datasets: each version of it. Rows are added and never changed; the one with the
-- greatest version is what is known now.
create table dataset_version (
    dataset_id text not null,
    version integer not null,
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
    mapping text,
    -- Why it was stated; null where nobody wrote that down.
    cause text,
    cause_id text,
    registered_at integer not null,
    stated_at integer not null,
    primary key (dataset_id, version)
) strict;

insert into dataset_version (dataset_id, version, kind, endpoint_id, unit_id, model_id, model_version,
    provisioned_version, plan_hash, provisioned_at, location, description, fields, upstream, registered_at, stated_at)
select id, version, kind, endpoint_id, unit_id, model_id, model_version,
    provisioned_version, plan_hash, provisioned_at, location, description, fields, upstream, registered_at, updated_at
from dataset;

drop table dataset;

-- What people wrote about datasets, in the same way; the system never writes here.
create table annotation_version (
    dataset_id text not null,
    version integer not null,
    description text,
    owner text,
    tags text not null,
    notes text not null,
    expect_every_seconds integer,
    expect_rows_from integer,
    expect_rows_to integer,
    annotated_at integer not null,
    primary key (dataset_id, version)
) strict;

insert into annotation_version (dataset_id, version, description, owner, tags, notes, annotated_at)
select dataset_id, version, description, owner, coalesce(tags, '[]'), '{}', annotated_at
from dataset_annotation;

drop table dataset_annotation;
