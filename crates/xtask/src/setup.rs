use std::process::Command;

use local_postgres::Programs;

use crate::steps::{Done, has, run};

/// Installs packages without leaving a service or a cluster behind.
const INSTALL: &str = include_str!("install-servers.sh");

/// Something that tests run and that a machine may lack.
struct Needed {
    what: &'static str,
    apt: &'static str,
    brew: &'static str,
    is_there: fn() -> bool,
}

const NEEDED: [Needed; 3] = [
    Needed {
        what: "PostgreSQL's server programs",
        apt: "postgresql",
        brew: "postgresql",
        is_there: || Programs::find().is_ok(),
    },
    Needed {
        what: "PgBouncer",
        apt: "pgbouncer",
        brew: "pgbouncer",
        is_there: || has("pgbouncer", "--version") || has("/usr/sbin/pgbouncer", "--version"),
    },
    Needed {
        what: "Python 3, for the test of the export script",
        apt: "python3",
        brew: "python3",
        is_there: || has("python3", "--version"),
    },
];

/// Installs what tests run and the machine lacks: with apt as root or through sudo, with Homebrew on a Mac. Says what
/// it installs, and how, before it does. Fails when something is still missing afterwards.
pub(crate) fn servers() -> Done {
    let missing = missing();
    if missing.is_empty() {
        return Ok(());
    }
    for Needed { what, .. } in &missing {
        eprintln!("    not installed: {what}");
    }
    if cfg!(target_os = "macos") {
        let packages: Vec<&str> = missing.iter().map(|needed| needed.brew).collect();
        eprintln!("    Installing with: brew install {}", packages.join(" "));
        run("servers", Command::new("brew").arg("install").args(packages))?;
    } else if has("apt-get", "--version") {
        with_apt(&missing.iter().map(|needed| needed.apt).collect::<Vec<_>>())?;
    }
    still_missing()
}

fn missing() -> Vec<&'static Needed> {
    NEEDED.iter().filter(|needed| !(needed.is_there)()).collect()
}

fn still_missing() -> Done {
    let missing: Vec<&str> = missing().iter().map(|needed| needed.what).collect();
    if missing.is_empty() { Ok(()) } else { Err(format!("not installed: {}", missing.join("; ")).into()) }
}

fn with_apt(packages: &[&str]) -> Done {
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0");
    let sudo = if is_root { "" } else { "sudo " };
    let command = format!("{sudo}apt-get install --no-install-recommends {}", packages.join(" "));
    eprintln!("    Installing with: {command}");
    eprintln!("    No service is started or left enabled, and no database cluster is created.");
    let mut install = if is_root { Command::new("sh") } else { Command::new("sudo") };
    if !is_root {
        install.args(["-n", "sh"]);
    }
    let done = run("servers", install.args(["-c", INSTALL, "install-servers", ""]).args(packages));
    done.map_err(|_| {
        format!("the packages could not be installed; run `{command}` yourself, and then this again").into()
    })
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::PermissionsExt as _,
        path::{Path, PathBuf},
        process::{Command, Output},
    };

    use tempfile::TempDir;

    use super::INSTALL;

    /// A machine: a root folder, and programs that write down how they are called.
    struct Machine {
        folder: TempDir,
    }

    impl Machine {
        fn new(apt_get: &str) -> Self {
            let machine = Self { folder: tempfile::tempdir().unwrap() };
            for folder in ["bin", "usr/sbin", "lib/systemd/system", "etc/init.d"] {
                fs::create_dir_all(machine.path(folder)).unwrap();
            }
            machine.program("apt-get", apt_get);
            machine.program("systemctl", "");
            machine.program("update-rc.d", "");
            machine
        }

        fn path(&self, path: &str) -> PathBuf {
            self.folder.path().join(path)
        }

        fn program(&self, name: &str, body: &str) {
            let path = self.path("bin").join(name);
            let log = self.path("log");
            let text = format!("#!/bin/sh\necho {name} \"$@\" >> {}\n{body}\n", log.display());
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }

        fn install(&self) -> Output {
            let path = format!("{}:/usr/bin:/bin", self.path("bin").display());
            let mut command = Command::new("sh");
            command.args(["-c", INSTALL, "install-servers"]).arg(self.folder.path()).args(["postgresql", "pgbouncer"]);
            command.env("PATH", path).env("ROOT", self.folder.path()).output().unwrap()
        }

        fn log(&self) -> String {
            fs::read_to_string(self.path("log")).unwrap()
        }

        fn is_as_before(&self) -> bool {
            let drop_ins = fs::read_dir(self.path("etc/postgresql-common/createcluster.d")).unwrap().count();
            drop_ins == 0 && !self.path("usr/sbin/policy-rc.d").exists()
        }
    }

    /// Installs two services, as the packages do, and notes what would have kept them from being started.
    const PACKAGES: &str = r#"
        [ "$1" = install ] || exit 0
        touch "$ROOT/lib/systemd/system/postgresql.service" "$ROOT/etc/init.d/pgbouncer"
        cat "$ROOT/usr/sbin/policy-rc.d" "$ROOT"/etc/postgresql-common/createcluster.d/* > "$ROOT/seen"
    "#;

    #[test]
    fn no_service_is_started_or_left_enabled_and_no_cluster_is_created() {
        let machine = Machine::new(PACKAGES);
        let output = machine.install();
        assert!(output.status.success(), "{output:?}");
        let seen = fs::read_to_string(machine.path("seen")).unwrap();
        assert_eq!(seen, "#!/bin/sh\nexit 101\ncreate_main_cluster = false\n");
        let log = machine.log();
        for expected in [
            "apt-get install -y -q --no-install-recommends postgresql pgbouncer",
            "systemctl disable --quiet postgresql.service",
            "systemctl disable --quiet pgbouncer.service",
            "update-rc.d pgbouncer disable",
        ] {
            assert!(log.contains(expected), "{log}");
        }
        assert!(machine.is_as_before());
    }

    #[test]
    fn a_service_that_was_there_stays_enabled() {
        let machine = Machine::new(PACKAGES);
        fs::write(machine.path("lib/systemd/system/postgresql.service"), "").unwrap();
        assert!(machine.install().status.success());
        let log = machine.log();
        assert!(log.contains("disable --quiet pgbouncer.service") && !log.contains("postgresql.service"), "{log}");
    }

    #[test]
    fn a_failure_restores_what_was_there() {
        let machine = Machine::new("[ \"$1\" != install ]");
        assert!(!machine.install().status.success());
        assert!(machine.is_as_before());

        let policy = machine.path("usr/sbin/policy-rc.d");
        fs::write(&policy, "the machine's own").unwrap();
        assert!(!machine.install().status.success());
        assert_eq!(read(&policy), "the machine's own");
    }

    fn read(path: &Path) -> String {
        fs::read_to_string(path).unwrap()
    }
}
