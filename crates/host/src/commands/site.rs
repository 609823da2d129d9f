use endpoint_api::{CheckReport, ErrorKind, Mode, SourceSite};

use crate::{
    app::App,
    config::{IngestionSettings, Settings},
    endpoints::{Opened, find, open},
    failure::Failure,
};

/// The name of the check.
const SITE: &str = "site";

/// Looks whether a source's records would replace rows of another site: rows that are in a sink already, or those of
/// another endpoint of the configuration that loads into the same sink.
pub(super) async fn check(
    app: &App,
    settings: &Settings,
    source: &Opened,
    report: &mut CheckReport,
) -> Result<(), Failure> {
    let loads = |ingestion: &&IngestionSettings| ingestion.mode == Mode::Cdm;
    let mine = |ingestion: &&IngestionSettings| ingestion.source == source.id;
    let ingestions: Vec<_> = settings.ingestions.iter().filter(loads).filter(mine).collect();
    if ingestions.is_empty() {
        return Ok(());
    }
    let site = match site_of(source).await {
        Ok(Some(site)) => site,
        Ok(None) => return Ok(()),
        Err(error) => {
            report.add(SITE, false, error.message());
            return Ok(());
        }
    };
    let mut sinks = Vec::new();
    for ingestion in ingestions {
        if sinks.contains(&&ingestion.sink) {
            continue;
        }
        sinks.push(&ingestion.sink);
        let mut others = Vec::new();
        for other in settings.ingestions.iter().filter(loads).filter(|other| other.sink == ingestion.sink) {
            if other.source == source.id || others.contains(&&other.source) {
                continue;
            }
            others.push(&other.source);
            let opened = open(app, settings, find(settings, other.source.as_str())?).await?;
            // What is wrong with the other one is a matter of its own check.
            if let Ok(Some(other)) = site_of(&opened).await
                && collides(&site, &other)
            {
                report.add(SITE, false, site.conflict(&other.to_stored(), &ingestion.sink).message());
                return Ok(());
            }
            opened.endpoint.close().await?;
        }
        let sink = open(app, settings, find(settings, ingestion.sink.as_str())?).await?;
        let compared = sink.sink()?.check_site(&ingestion.ingestion(), &site).await;
        sink.endpoint.close().await?;
        if let Err(error) = compared
            && error.kind() == ErrorKind::Config
        {
            report.add(SITE, false, error.message());
            return Ok(());
        }
    }
    let detail = match &site.site {
        Some(name) => format!("records of {name} under source_system {}", site.system),
        None => format!(
            "no record tells its site; under source_system {} no other endpoint can load (`site_url` tells the site)",
            site.system
        ),
    };
    report.add(SITE, true, detail);
    Ok(())
}

async fn site_of(opened: &Opened) -> endpoint_api::Result<Option<SourceSite>> {
    match opened.endpoint.source() {
        Some(source) => source.site().await,
        None => Ok(None),
    }
}

/// Whether the rows of the one would replace those of the other.
fn collides(one: &SourceSite, other: &SourceSite) -> bool {
    one.system == other.system && !one.is_of(&other.to_stored()) && !other.is_of(&one.to_stored())
}
