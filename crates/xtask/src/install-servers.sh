#!/bin/sh
# Installs packages on Debian or Ubuntu for their programs alone: no service is started or left enabled, and no
# database cluster is created. Needs root.
#
#   install-servers.sh ROOT PACKAGE...
#
# ROOT is put before every path; it is empty but in the test of this script.
set -eu
root=$1
shift

# While the packages are installed, policy-rc.d keeps their services from being started, and the drop-in keeps
# postgresql-common from creating a cluster. Both are removed again; a policy-rc.d that is there stays as it is.
policy=$root/usr/sbin/policy-rc.d
drop_in=$root/etc/postgresql-common/createcluster.d/cdm-no-main-cluster.conf
own_policy=
clean_up() {
    rm -f "$drop_in"
    [ -z "$own_policy" ] || rm -f "$policy"
}
trap clean_up EXIT
trap 'exit 130' INT TERM
if [ ! -e "$policy" ]; then
    own_policy=1
    printf '#!/bin/sh\nexit 101\n' > "$policy"
    chmod 755 "$policy"
fi
mkdir -p "${drop_in%/*}"
echo "create_main_cluster = false" > "$drop_in"

# Services that were not there before are disabled afterwards.
installed_services() {
    for service in postgresql pgbouncer; do
        for folder in lib/systemd/system usr/lib/systemd/system etc/init.d; do
            if [ -e "$root/$folder/$service" ] || [ -e "$root/$folder/$service.service" ]; then
                echo "$service"
                break
            fi
        done
    done
}
before=$(installed_services)

export DEBIAN_FRONTEND=noninteractive
apt-get update -q
apt-get install -y -q --no-install-recommends "$@"

for service in $(installed_services); do
    case " $(echo $before) " in
    *" $service "*) continue ;;
    esac
    if command -v systemctl >/dev/null; then
        systemctl disable --quiet "$service.service"
    fi
    if [ -e "$root/etc/init.d/$service" ] && command -v update-rc.d >/dev/null; then
        update-rc.d "$service" disable
    fi
done
