use rusqlite::Connection;

use crate::failure::Failure;

/// How many items of each project are done, in progress and to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Project {
    name: String,
    counts: [u32; 3],
}

/// The query, for tables whose names begin so.
fn query(prefix: &str) -> String {
    format!(
        "select p.source_system || ': ' || p.name, count(*) filter (where i.status_category = 'done'), \
         count(*) filter (where i.status_category = 'in_progress'), count(*) filter (where i.status_category = 'todo') \
         from {prefix}cdm_work_item i join {prefix}cdm_work_project p on p.cdm_id = i.project_cdm_id \
         group by p.source_system, p.name order by p.source_system, p.name"
    )
}

/// Asks a SQLite file.
pub(super) fn ask_file(path: &std::path::Path) -> Result<Vec<Project>, Failure> {
    let ask = || {
        let connection = Connection::open(path)?;
        let mut statement = connection.prepare(&query(""))?;
        let projects = statement
            .query_map([], |row| Ok(Project { name: row.get(0)?, counts: [row.get(1)?, row.get(2)?, row.get(3)?] }))?;
        projects.collect::<rusqlite::Result<_>>()
    };
    let refused = |error| sqlite_client::Owner("demonstration").classify("ask for the items", error);
    ask().map_err(|error: rusqlite::Error| refused(error).into())
}

/// Asks a server.
pub(super) fn ask_server(cluster: &local_postgres::Cluster) -> Result<Vec<Project>, Failure> {
    let rows = cluster.query("postgres", &query("cdm_work."));
    let rows = rows.map_err(|error| Failure::failed(error.to_string()))?;
    let project = |row: &local_postgres::Row| {
        let mut cells = row.iter().map(|cell| cell.as_deref().unwrap_or_default());
        let name = cells.next().unwrap_or_default().to_owned();
        let mut count = || cells.next().and_then(|cell| cell.parse().ok()).unwrap_or(0);
        Project { name, counts: [count(), count(), count()] }
    };
    Ok(rows.iter().map(project).collect())
}

/// The longest bar.
const WIDTH: u32 = 34;

/// Draws a bar a project.
pub(super) fn draw(projects: &[Project]) -> String {
    let mut chart = "Items by project (█ done ▒ in progress ░ to do):\n\n".to_owned();
    let most = projects.iter().map(|project| project.counts.iter().sum::<u32>()).max().unwrap_or(0).max(1);
    for Project { name, counts: [done, in_progress, todo] } in projects {
        let bar = |shape: &str, count: u32| shape.repeat((count * WIDTH).div_ceil(most).min(WIDTH) as usize);
        let bars = [bar("█", *done), bar("▒", *in_progress), bar("░", *todo)].concat();
        chart.push_str(&format!("  {name:<24} {bars} {done} + {in_progress} + {todo}\n"));
    }
    chart
}
