use cdm_models::Timestamp;
use endpoint_api::{EndpointId, Result};

use super::{ATTEMPTS, Engine, Parameter, Row, overtaken};
use crate::{EndpointSpec, RegisteredEndpoint, Registration};

const REGISTER: &str = "register an endpoint";

pub(super) async fn register<E: Engine>(engine: &E, spec: &EndpointSpec, at: Timestamp) -> Result<Registration> {
    for _ in 0..ATTEMPTS {
        let Some(known) = find(engine, &spec.id).await? else {
            if insert(engine, spec, at).await? {
                return Ok(Registration::new(true, 1));
            }
            continue;
        };
        if known.spec == *spec {
            return Ok(Registration::new(false, known.version));
        }
        if update(engine, spec, known.version, at).await? {
            return Ok(Registration::new(true, known.version + 1));
        }
    }
    Err(overtaken(REGISTER).with("endpoint", &spec.id))
}

async fn insert<E: Engine>(engine: &E, spec: &EndpointSpec, at: Timestamp) -> Result<bool> {
    let statement = format!(
        "insert into {schema}endpoint (id, driver, roles, config, version, registered_at, updated_at)
         values ($1, $2, $3, $4, 1, $5, $5)
         on conflict (id) do nothing",
        schema = E::SCHEMA,
    );
    let mut parameters = columns(spec)?;
    parameters.push(Parameter::time(at));
    Ok(engine.execute(REGISTER, statement, parameters).await? == 1)
}

async fn update<E: Engine>(engine: &E, spec: &EndpointSpec, version: u64, at: Timestamp) -> Result<bool> {
    let statement = format!(
        "update {schema}endpoint
         set driver = $2, roles = $3, config = $4, version = version + 1, updated_at = $5
         where id = $1 and version = $6",
        schema = E::SCHEMA,
    );
    let mut parameters = columns(spec)?;
    parameters.extend([Parameter::time(at), Parameter::count(version)?]);
    Ok(engine.execute(REGISTER, statement, parameters).await? == 1)
}

fn columns(spec: &EndpointSpec) -> Result<Vec<Parameter>> {
    Ok(vec![
        Parameter::text(&spec.id),
        Parameter::text(&spec.driver),
        Parameter::json(&spec.roles)?,
        Parameter::Json(Some(spec.config.clone())),
    ])
}

pub(super) async fn find<E: Engine>(engine: &E, id: &EndpointId) -> Result<Option<RegisteredEndpoint>> {
    let statement = format!("select * from {}endpoint where id = $1", E::SCHEMA);
    let rows = engine.query("look an endpoint up", statement, vec![Parameter::text(id)]).await?;
    rows.first().map(read).transpose()
}

pub(super) async fn list<E: Engine>(engine: &E) -> Result<Vec<RegisteredEndpoint>> {
    let statement = format!("select * from {}endpoint order by id", E::SCHEMA);
    engine.query("list endpoints", statement, vec![]).await?.iter().map(read).collect()
}

fn read(row: &Row) -> Result<RegisteredEndpoint> {
    let columns = || {
        Ok(RegisteredEndpoint {
            spec: EndpointSpec {
                id: row.parsed("id")?,
                driver: row.text("driver")?.to_owned(),
                roles: row.json("roles")?,
                config: row.text("config")?.to_owned(),
            },
            version: row.count("version")?,
            registered_at: row.time("registered_at")?,
            updated_at: row.time("updated_at")?,
        })
    };
    columns().map_err(|error: endpoint_api::Error| match row.text("id") {
        Ok(id) => error.with("endpoint", id),
        Err(_) => error,
    })
}
