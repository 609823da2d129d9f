use endpoint_api::Holder;

/// This process, for whoever asks who works on a run.
pub(crate) fn this() -> Holder {
    Holder::new(&host_name(), std::process::id())
}

#[cfg(unix)]
fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(not(unix))]
fn host_name() -> String {
    std::env::var("COMPUTERNAME").unwrap_or_default()
}
