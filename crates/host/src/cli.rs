use std::{
    borrow::Cow,
    ffi::OsString,
    io::{self, Write as _},
    num::NonZeroUsize,
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use clap::{Args, Parser, Subcommand, ValueEnum};
use endpoint_api::{GrantRequest, ModelPattern, Registry};
use indicatif::MultiProgress;
use ingest::MaxRejects;

use crate::{
    answer::{Answer, Output, print, print_failure, written},
    app::App,
    commands::{
        self,
        catalog::{AnnotateArgs, LineageFormat},
        demo::DemoOptions,
        ingest::Asked,
        init::Warehouse,
        provision::Purpose,
        rejects::{DismissArgs, ListArgs, ReopenArgs, ReplayArgs},
        runs::{State, Wanted},
    },
    failure::{Exit, Failure},
    logging::{self, LogFormat},
    printable::on_lines,
    signals::Signals,
    table::Width,
    times::parse_duration,
};

/// Lands work-management data in a common data model and makes it findable.
///
/// Sources and sinks are endpoints in a configuration file (`cdm init` writes one to begin with). A
/// sink is provisioned once, `cdm provision SINK`, and then loaded as often as you like, `cdm ingest`:
/// what is there already is not written again, and what was interrupted goes on where it stopped.
#[derive(Debug, Parser)]
#[command(name = "cdm", version, arg_required_else_help = true, max_term_width = 100, after_help = EXIT_CODES)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
Exit codes, the first that fits: 130 or 143 interrupted; 2 usage, configuration, wrong mode or a sink that is not \
provisioned; 1 failed; 3 `provision --plan` or `--check` found changes; 4 more rejects than --max-rejects allows, or \
nothing but rejects.

Results go to standard output, logs and progress to standard error. Nothing asks questions.";

#[derive(Debug, Args)]
#[command(next_help_heading = "Options of every command")]
struct Global {
    /// The configuration file.
    #[arg(long, global = true, value_name = "FILE", env = "CDM_CONFIG", default_value = "cdm.toml")]
    config: PathBuf,
    /// The form of results: tables for people, or one JSON object for scripts.
    #[arg(long, global = true, value_name = "FORM", value_enum, default_value_t = Output::Table)]
    output: Output,
    /// Show all columns of a table in full, also where the terminal is too narrow for them.
    #[arg(long, global = true)]
    wide: bool,
    /// Say what is done; twice: how.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// The form of log lines: text for people, or one JSON object a line.
    #[arg(long, global = true, value_name = "FORM", value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the main job on a sample export, in a folder of its own and with nothing to install.
    Demo {
        /// The folder to work in.
        #[arg(long, value_name = "DIR", default_value = "cdm-demo")]
        dir: PathBuf,
        /// Load into a private PostgreSQL server instead of a SQLite file; it needs the server's programs.
        #[arg(long)]
        postgres: bool,
        /// Keep that server running until Ctrl-C, to look around in it.
        #[arg(long, requires = "postgres")]
        keep: bool,
    },
    /// Write a configuration file to begin with.
    ///
    /// Its sink is a SQLite file, which needs no server, unless `--postgres` is given. A file that exists is not
    /// changed.
    Init {
        /// The sink is a SQLite file (the default).
        #[arg(long, conflicts_with = "postgres")]
        sqlite: bool,
        /// The sink is a PostgreSQL server, with its URL in the environment variable WAREHOUSE_URL.
        #[arg(long)]
        postgres: bool,
    },
    /// List the drivers that are linked, or show one.
    Drivers {
        /// The driver's id or alias.
        id: Option<String>,
        /// Print the JSON Schema of the driver's configuration.
        #[arg(long, requires = "id")]
        schema: bool,
    },
    /// Write a crate with a driver to begin with: a small sink that works, with its tests.
    ///
    /// The driver keeps rows of CDM models as lines of JSON in one file, and keeps the whole contract. Make it
    /// yours by putting another store in the place of its file. `docs/writing-a-driver.md` goes through it step by
    /// step.
    NewDriver {
        /// The driver's id: dotted lower case, beginning with your name, such as `acme.warehouse`.
        id: String,
        /// The folder to write; it must be empty or not be there. Named after the id when it is not given.
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
        /// A checkout of cdm: the crate then depends on the crates there, else on published versions.
        #[arg(long, value_name = "PATH")]
        cdm_path: Option<PathBuf>,
    },
    /// Check whether endpoints can be used: reachable, of a supported version, with the necessary privileges.
    ///
    /// Without names, all endpoints are checked, and so is the rest of the configuration: whether the catalog of
    /// [metadata] can be opened, and whether each ingestion under [ingest] fits its endpoints (they are there, the
    /// source has the unit, and the sink takes the mode and the model).
    Check {
        /// The endpoints; all when none is named.
        endpoints: Vec<String>,
    },
    /// List the units of a source and the models that they feed.
    Units {
        /// The source.
        endpoint: String,
    },
    /// Create the tables of models on a sink and register them in the catalog. Safe to run again.
    ///
    /// What is missing is added. A difference that adding cannot resolve is reported with what to do, and nothing is
    /// changed. To have a plan approved first, write it to a file with `--plan --out` and carry out exactly that plan
    /// with `--apply`; it is refused when the sink has changed since.
    Provision(ProvisionArgs),
    /// Print statements that give the roles for provisioning, loading and reading the rights that they need.
    ///
    /// The command connects to nothing. An administrator runs what it prints, before the first `cdm provision` and
    /// again whenever that has made a table or a column.
    Grants {
        /// The sink.
        sink: String,
        /// Only the models that match, such as `cdm.work.*`; again for more. All when none is given.
        #[arg(long = "model", value_name = "PATTERN")]
        models: Vec<ModelPattern>,
        #[command(flatten)]
        roles: Roles,
    },
    /// Read from a source and load a sink, as configured under [ingest].
    Ingest {
        /// The ingestions; all when none is named.
        names: Vec<String>,
        /// Read from the beginning and not only what is new.
        #[arg(long)]
        full: bool,
        /// Fail with more rejects than this: a number, or a share of what was read such as 0.5%.
        #[arg(long, value_name = "N|P%")]
        max_rejects: Option<MaxRejects>,
        /// What to do when another run of the ingestion is alive: fail, skip the ingestion with exit code 0, wait until
        /// the other run has ended, or take over, so that the other run commits nothing more. As configured, otherwise
        /// fail.
        #[arg(long, value_name = "WHAT", value_enum)]
        on_overlap: Option<OnOverlap>,
        /// For how long what fails for a passing reason is tried again, such as 30s, 2m or 1h; 0s tries once. As
        /// configured, otherwise 2m.
        #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
        retry_for: Option<Duration>,
        /// How many slices are loaded at once in cdm mode, each in a transaction of its own.
        #[arg(long, value_name = "N", default_value_t = ingest::Options::PARALLEL)]
        parallel: NonZeroUsize,
    },
    /// List runs, the newest first, or show one with its slices, its checkpoint and what went wrong.
    ///
    /// A run that has not ended is `running` when its sink says that it is alive, and `lost` when the sink says that
    /// it is not: its process died, and the next run of the ingestion continues it. Times are in UTC.
    Runs(RunsArgs),
    /// Work with the records that could not be read, mapped or stored: list, count, show, load again, dismiss.
    Rejects {
        #[command(subcommand)]
        command: RejectsCommand,
    },
    /// Count and hash everything that a sink stores, and report rows that are not as they were loaded.
    ///
    /// Exit code 1 when there are such rows; exit code 2 when nothing is provisioned, or when a model is missing that
    /// is named or that the configuration loads into the sink.
    Verify {
        /// The sink.
        sink: String,
        /// Only the models that match, such as `cdm.work.*`; again for more. All that are provisioned when none
        /// is given.
        #[arg(long = "model", value_name = "PATTERN")]
        models: Vec<ModelPattern>,
        /// Mark such rows, so that the next run reads from the beginning and writes them again.
        #[arg(long)]
        repair: bool,
    },
    /// Deliver OpenLineage events, as configured under [lineage].
    Lineage {
        #[command(subcommand)]
        command: LineageCommand,
    },
    /// Search, show and annotate the datasets of the metadata catalog.
    Catalog {
        #[command(subcommand)]
        command: CatalogCommand,
    },
}

#[derive(Debug, Args)]
struct RunsArgs {
    /// The run's id, or the end of it.
    id: Option<String>,
    /// Only runs that did not succeed: failed, lost, interrupted or fenced.
    #[arg(long, conflicts_with_all = ["id", "status"])]
    failed: bool,
    /// Only runs with this status; again for more.
    #[arg(long, value_name = "STATUS", value_enum, conflicts_with = "id")]
    status: Vec<State>,
    /// Only runs that have been worked on since then: a duration such as 2h or 3d, or a time such as 2026-01-31 or
    /// 2026-01-31T18:00Z.
    #[arg(long, value_name = "WHEN", conflicts_with = "id")]
    since: Option<String>,
    /// Only runs of this ingestion.
    #[arg(long, value_name = "NAME", conflicts_with = "id")]
    ingestion: Option<String>,
    /// At most this many.
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
}

#[derive(Debug, Args)]
struct ProvisionArgs {
    /// The sink.
    sink: String,
    /// Only the models that match, such as `cdm.work.*`; again for more. All when none is given.
    #[arg(long = "model", value_name = "PATTERN")]
    models: Vec<ModelPattern>,
    /// Show the statements and change nothing; exit code 3 when there is something to do.
    #[arg(long)]
    plan: bool,
    /// Write the plan to a file, for `--apply`.
    #[arg(long, value_name = "FILE", requires = "plan")]
    out: Option<PathBuf>,
    /// Carry out the plan of a file, and nothing else. The answer shows that plan and its receipt, also when the plan
    /// had been applied before.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["plan", "check", "models", "adopt"])]
    apply: Option<PathBuf>,
    /// Only report what differs; exit code 3 when there is something to do.
    #[arg(long, conflicts_with = "plan")]
    check: bool,
    /// Take over existing tables that are not on record, with their rows, where their shape fits.
    #[arg(long)]
    adopt: bool,
}

impl ProvisionArgs {
    fn purpose(&self) -> Purpose {
        match (&self.apply, self.plan, self.check) {
            (Some(file), ..) => Purpose::ApplyFile(file.clone()),
            (None, true, _) => Purpose::Plan(self.out.clone()),
            (None, _, true) => Purpose::Check,
            _ => Purpose::Apply,
        }
    }
}

#[derive(Debug, Args)]
struct Roles {
    /// The role that tables belong to; nobody logs in as it. As the sink's configuration says, else `cdm_owner`.
    #[arg(long, value_name = "ROLE")]
    owner: Option<String>,
    /// The role that makes tables.
    #[arg(long, value_name = "ROLE", default_value = "cdm_provisioner")]
    provisioner: String,
    /// The role that loads.
    #[arg(long, value_name = "ROLE", default_value = "cdm_loader")]
    loader: String,
    /// The role that reads.
    #[arg(long, value_name = "ROLE", default_value = "cdm_reader")]
    reader: String,
    /// Let the reader see the plumbing columns, too: from which run a row is, when it was deleted.
    #[arg(long)]
    with_plumbing: bool,
    /// Let the reader see the rejects.
    #[arg(long)]
    with_rejects: bool,
}

impl From<Roles> for GrantRequest {
    fn from(roles: Roles) -> Self {
        Self::new(roles.provisioner, roles.loader, roles.reader)
            .owner(roles.owner)
            .with_plumbing(roles.with_plumbing)
            .with_rejects(roles.with_rejects)
    }
}

#[derive(Debug, Subcommand)]
enum RejectsCommand {
    /// List a sink's rejects, the newest first, or count them in groups.
    List {
        /// The sink.
        sink: String,
        #[command(flatten)]
        args: ListArgs,
    },
    /// Show one reject with the record as it was received.
    Show {
        /// The sink.
        sink: String,
        /// The reject's id, or its beginning.
        id: String,
    },
    /// Map and load rejects again, with the mapper as it is now. What is loaded is no reject any more.
    Replay {
        /// The sink.
        sink: String,
        #[command(flatten)]
        args: ReplayArgs,
    },
    /// Set rejects aside, with a reason.
    ///
    /// A dismissed reject stays on record until it is as old as `retention_days` allows. It is not listed (but with
    /// `--dismissed`) and not replayed. The record's next rejection for the same reason stays dismissed; for another
    /// reason it is an open reject again.
    Dismiss {
        /// The sink.
        sink: String,
        #[command(flatten)]
        args: DismissArgs,
    },
    /// Open dismissed rejects again.
    Reopen {
        /// The sink.
        sink: String,
        #[command(flatten)]
        args: ReopenArgs,
    },
}

#[derive(Debug, Subcommand)]
enum LineageCommand {
    /// Deliver the events that wait in the outboxes of all sinks and of the catalog.
    Flush,
}

#[derive(Debug, Subcommand)]
enum CatalogCommand {
    /// List the datasets: units of sources and tables of sinks.
    List,
    /// Show a dataset with its fields.
    Show {
        /// The dataset's id, such as `cdm.work.item@warehouse`.
        id: String,
    },
    /// Find datasets by words in their ids, locations, fields, descriptions, labels, tags, owners and notes.
    ///
    /// Every word must be found somewhere, with no regard to upper and lower case. The best come first: a name
    /// counts more than a text, and a whole word more than a part of one.
    Search {
        /// The words.
        #[arg(required = true, value_name = "TEXT")]
        words: Vec<String>,
    },
    /// Show what a dataset is made from and what is made from it, column by column.
    ///
    /// Which members of a record feed which column each mapper declares; units keep that in the catalog.
    Lineage {
        /// The dataset's id, such as `cdm.work.item@warehouse`.
        id: String,
        /// The form for people; `--output json` prints an object in any case.
        #[arg(long, value_name = "FORM", value_enum, default_value_t = LineageFormat::Text)]
        format: LineageFormat,
    },
    /// Show the versions of a dataset: since when, because of which plan or run, and what changed.
    ///
    /// What the system knows and what people wrote have versions of their own.
    History {
        /// The dataset's id, such as `cdm.work.item@warehouse`.
        id: String,
    },
    /// Write what people know about a dataset. Nothing that the system registers touches it.
    ///
    /// What is not spoken of stays as it is.
    Annotate(AnnotateArgs),
    /// Compare datasets with what people expect of them; exit code 1 when an expectation is not met.
    ///
    /// `cdm catalog annotate` sets expectations with `--expect-every` and `--expect-rows`. An expectation that cannot
    /// be checked, such as a row count on a sink that does not count rows, is not met.
    Health {
        /// The datasets; all that have expectations when none is named.
        ids: Vec<String>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OnOverlap {
    Fail,
    Skip,
    Wait,
    Takeover,
}

impl From<OnOverlap> for ingest::OnOverlap {
    fn from(on_overlap: OnOverlap) -> Self {
        match on_overlap {
            OnOverlap::Fail => Self::Fail,
            OnOverlap::Skip => Self::Skip,
            OnOverlap::Wait => Self::Wait,
            OnOverlap::Takeover => Self::Takeover,
        }
    }
}

/// Runs a command line.
pub(crate) fn run(arguments: Vec<OsString>) -> ExitCode {
    let wants_json = wants(&arguments, "--output", "json");
    let logs = if wants(&arguments, "--log-format", "json") { LogFormat::Json } else { LogFormat::Text };
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() && (wants_json || logs == LogFormat::Json) => {
            let message = error.to_string();
            let message = message.trim().strip_prefix("error: ").unwrap_or(&message).to_owned();
            let output = if wants_json { Output::Json } else { Output::Table };
            return print(output, logs, Err(Failure::usage(message))).into();
        }
        Err(error) => {
            if error.use_stderr() {
                let text = error.render().to_string();
                // Nothing can be done when standard error is gone.
                let _ = match on_lines(&text) {
                    Cow::Borrowed(_) => error.print(),
                    Cow::Owned(text) => io::stderr().write_all(text.as_bytes()),
                };
                return Exit::Usage.into();
            }
            return match written(error.print()) {
                Ok(()) => Exit::Ok.into(),
                Err(failure) => {
                    print_failure(logs, &failure);
                    failure.exit().into()
                }
            };
        }
    };
    let bars = MultiProgress::new();
    logging::start(cli.global.log_format, cli.global.verbose, bars.clone());
    let (output, logs) = (cli.global.output, cli.global.log_format);
    print(output, logs, carry_out(cli, bars)).into()
}

/// Whether the command line has this option with this value. Works on one that is not well-formed.
fn wants(arguments: &[OsString], option: &str, value: &str) -> bool {
    let arguments: Vec<&str> = arguments.iter().filter_map(|argument| argument.to_str()).collect();
    let is_one = |argument: &&str| argument.strip_prefix(option).and_then(|rest| rest.strip_prefix('=')) == Some(value);
    arguments.iter().any(is_one) || arguments.windows(2).any(|pair| pair == [option, value])
}

fn carry_out(cli: Cli, bars: MultiProgress) -> Result<Answer, Failure> {
    let registry = Registry::load()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::internal(format!("cannot start the runtime: {error}")))?;
    runtime.block_on(async {
        let app = App {
            registry,
            config: cli.global.config,
            signals: Signals::listen(),
            output: cli.global.output,
            width: Width::of_stdout(cli.global.wide),
            bars,
        };
        match cli.command {
            Command::Demo { dir, postgres, keep } => {
                commands::demo::demo(&app, &DemoOptions { dir, postgres, keep, output: cli.global.output }).await
            }
            Command::Init { postgres: true, .. } => commands::init::init(&app, Warehouse::Postgres),
            Command::Init { postgres: false, .. } => commands::init::init(&app, Warehouse::Sqlite),
            Command::Drivers { id: None, .. } => Ok(commands::drivers::list(&app)),
            Command::Drivers { id: Some(id), schema } => commands::drivers::show(&app, &id, schema),
            Command::NewDriver { id, dir, cdm_path } => {
                let new = commands::new_driver::NewDriver { id, dir, cdm_path };
                commands::new_driver::new_driver(&app.registry, &new)
            }
            Command::Check { endpoints } => commands::check::check(&app, &endpoints).await,
            Command::Units { endpoint } => commands::units::units(&app, &endpoint).await,
            Command::Provision(args) => {
                let purpose = args.purpose();
                commands::provision::provision(&app, &args.sink, &args.models, args.adopt, &purpose).await
            }
            Command::Grants { sink, models, roles } => {
                commands::grants::grants(&app, &sink, &models, &roles.into()).await
            }
            Command::Ingest { names, full, max_rejects, on_overlap, retry_for, parallel } => {
                let on_overlap = on_overlap.map(Into::into);
                let asked = Asked { full, max_rejects, on_overlap, retry_for, parallel };
                commands::ingest::ingest(&app, &names, asked).await
            }
            Command::Runs(RunsArgs { id: Some(id), .. }) => commands::runs::show(&app, &id).await,
            Command::Runs(RunsArgs { failed, status, since, ingestion, limit, .. }) => {
                let states = if failed { State::NOT_SUCCEEDED.to_vec() } else { status };
                commands::runs::list(&app, &Wanted { states, since, ingestion, limit }).await
            }
            Command::Rejects { command } => match command {
                RejectsCommand::List { sink, args } => commands::rejects::list(&app, &sink, &args).await,
                RejectsCommand::Show { sink, id } => commands::rejects::show(&app, &sink, &id).await,
                RejectsCommand::Replay { sink, args } => commands::rejects::replay(&app, &sink, &args).await,
                RejectsCommand::Dismiss { sink, args } => commands::rejects::dismiss(&app, &sink, &args).await,
                RejectsCommand::Reopen { sink, args } => commands::rejects::reopen(&app, &sink, &args).await,
            },
            Command::Verify { sink, models, repair } => commands::verify::verify(&app, &sink, &models, repair).await,
            Command::Catalog { command } => match command {
                CatalogCommand::List => commands::catalog::list(&app).await,
                CatalogCommand::Show { id } => commands::catalog::show(&app, &id).await,
                CatalogCommand::Search { words } => commands::catalog::search(&app, &words).await,
                CatalogCommand::Lineage { id, format } => commands::catalog::lineage(&app, &id, format).await,
                CatalogCommand::History { id } => commands::catalog::history(&app, &id).await,
                CatalogCommand::Annotate(args) => commands::catalog::annotate(&app, &args).await,
                CatalogCommand::Health { ids } => commands::catalog::health(&app, &ids).await,
            },
            Command::Lineage { command: LineageCommand::Flush } => commands::lineage::flush(&app).await,
        }
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
