"""Loads the records of Singer messages with dlt, as its documentation does: a resource with a primary key."""

import json
import sys

import dlt

messages, url, dataset, pipelines = sys.argv[1:]

# Structures stay in one column, as in the table that they come from.
STRUCTURES = {name: {"data_type": "json"} for name in ("properties", "raw_source", "labels")}


@dlt.resource(name="item", primary_key="cdm_id", write_disposition="merge", columns=STRUCTURES, max_table_nesting=0)
def items():
    page = []
    with open(messages, encoding="utf-8", newline="\n") as lines:
        for line in lines:
            message = json.loads(line)
            if message["type"] == "RECORD":
                page.append(message["record"])
            if len(page) == 1000:
                yield page
                page = []
    yield page


pipeline = dlt.pipeline(
    pipeline_name="bench",
    destination=dlt.destinations.postgres(url),
    dataset_name=dataset,
    pipelines_dir=pipelines,
)
pipeline.run(items())
