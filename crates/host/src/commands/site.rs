use endpoint_api::{CheckReport, EndpointId, ErrorKind, Mode, SourceSite};

use crate::{
    app::App,
    config::{IngestionSettings, Settings},
    endpoints::{Opened, open},
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
        // What is wrong with another endpoint is a matter of its own check, and so is a wrong id of the ingestion's.
        let Some(sink) = opened(app, settings, &ingestion.sink).await else { continue };
        let compared = match sink.sink() {
            Ok(target) => target.check_site(&ingestion.ingestion(), &site).await,
            Err(_) => Ok(()),
        };
        sink.endpoint.close().await?;
        if let Err(error) = compared
            && error.kind() == ErrorKind::Config
        {
            report.add(SITE, false, error.message());
            return Ok(());
        }
        let mut others = Vec::new();
        for other in settings.ingestions.iter().filter(loads).filter(|other| other.sink == ingestion.sink) {
            if other.source == source.id || others.contains(&&other.source) {
                continue;
            }
            others.push(&other.source);
            let Some(opened) = opened(app, settings, &other.source).await else { continue };
            if let Ok(Some(other)) = site_of(&opened).await
                && collides(&site, &other)
            {
                report.add(SITE, false, collision(&site, &other, &ingestion.sink));
                return Ok(());
            }
            opened.endpoint.close().await?;
        }
    }
    let detail = match &site.site {
        Some(name) => format!("records of {name} under source_system {}", site.system),
        None if !site.several.is_empty() => format!(
            "records of several sites under source_system {}: {}; give each site an endpoint and a `source_system` of \
             its own, or set `site_url` if all are addresses of one site",
            site.system,
            site.several.join(", "),
        ),
        None => format!(
            "no record tells its site; under source_system {} no other endpoint can load (`site_url` tells the site)",
            site.system
        ),
    };
    report.add(SITE, true, detail);
    Ok(())
}

async fn opened(app: &App, settings: &Settings, id: &EndpointId) -> Option<Opened> {
    open(app, settings, settings.endpoint(id.as_str())?).await.ok()
}

async fn site_of(opened: &Opened) -> endpoint_api::Result<Option<SourceSite>> {
    match opened.endpoint.source() {
        Some(source) => source.site().await,
        None => Ok(None),
    }
}

/// What two endpoints have to be told of which none, or only one, has loaded rows yet.
fn collision(one: &SourceSite, other: &SourceSite, sink: &EndpointId) -> String {
    let of = |site: &SourceSite| match &site.site {
        Some(name) => format!("`{}` (records of {name})", site.endpoint),
        None if site.several.is_empty() => format!("`{}` (records of an unknown site)", site.endpoint),
        None => format!("`{}` (records of several sites: {})", site.endpoint, site.several.join(", ")),
    };
    format!(
        "{} and {} are configured to load into `{sink}` under the same source_system `{}`; a run of the one that is \
         loaded second will be refused. If they are two sites, set `source_system` of one of them to a name of its \
         own. If both are one site, set the same `site_url` for both",
        of(one),
        of(other),
        one.system,
    )
}

/// Whether the rows of the one would replace those of the other.
fn collides(one: &SourceSite, other: &SourceSite) -> bool {
    one.system == other.system && !one.is_of(&other.to_stored()) && !other.is_of(&one.to_stored())
}
