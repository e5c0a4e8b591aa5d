# What kind of Debian this is and where it comes from.
#
# Reads:   DIB_RELEASE, DIB_DISTRIBUTION_MIRROR, DIB_DEBIAN_DISTRIBUTION_MIRROR, DIB_DEBIAN_SECURITY_MIRROR,
#          DIB_DEBIAN_SECURITY_SUBPATH, DIB_DEBIAN_COMPONENTS, DIB_DEBIAN_SNAPSHOT, DIB_DEBIAN_SNAPSHOT_MIRROR,
#          DIB_APT_SOURCES_CONF; apt_mirrors_of_host (element dpkg)
# Exports: DISTRO_NAME, DIB_RELEASE, DIB_INIT_SYSTEM, EFI_BOOT_DIR, DIB_DISTRIBUTION_MIRROR, DIB_DEBIAN_COMPONENTS,
#          DIB_DEBIAN_COMPONENTS_WS, DIB_APT_SOURCES_CONF
export DISTRO_NAME=debian
export DIB_RELEASE=${DIB_RELEASE:-stable}
export DIB_INIT_SYSTEM=systemd
export EFI_BOOT_DIR=EFI/debian

_debian_archive=${DIB_DEBIAN_DISTRIBUTION_MIRROR:-${DIB_DISTRIBUTION_MIRROR:-}}
_debian_security=${DIB_DEBIAN_SECURITY_MIRROR:-}
_debian_options=
if [[ -n ${DIB_DEBIAN_SNAPSHOT:-} ]]; then
    if [[ ! ${DIB_DEBIAN_SNAPSHOT} =~ ^[0-9]{8}T[0-9]{6}Z$ ]]; then
        printf 'debian-minimal: DIB_DEBIAN_SNAPSHOT is "%s", expected a time like 20260131T235959Z\n' "${DIB_DEBIAN_SNAPSHOT}" >&2
        exit 1
    elif [[ -z ${DIB_DEBIAN_SNAPSHOT_MIRROR:-} ]]; then
        printf 'debian-minimal: DIB_DEBIAN_SNAPSHOT needs DIB_DEBIAN_SNAPSHOT_MIRROR: the URL below which debian/TIME and debian-security/TIME are\n' >&2
        exit 1
    elif [[ -n ${_debian_archive}${_debian_security} ]]; then
        printf 'debian-minimal: DIB_DEBIAN_SNAPSHOT says which archive, and so does another variable: unset %s\n' \
            'DIB_DISTRIBUTION_MIRROR, DIB_DEBIAN_DISTRIBUTION_MIRROR and DIB_DEBIAN_SECURITY_MIRROR' >&2
        exit 1
    fi
    _debian_archive=${DIB_DEBIAN_SNAPSHOT_MIRROR%/}/debian/${DIB_DEBIAN_SNAPSHOT}
    _debian_security=${DIB_DEBIAN_SNAPSHOT_MIRROR%/}/debian-security/${DIB_DEBIAN_SNAPSHOT}
    # What was signed then is out of date by now, and meant.
    _debian_options='[check-valid-until=no] '
elif [[ -z ${_debian_archive} || -z ${_debian_security} ]]; then
    while read -r _debian_kind _debian_url; do
        case ${_debian_kind} in
        archive) _debian_archive=${_debian_archive:-${_debian_url}} ;;
        security) _debian_security=${_debian_security:-${_debian_url}} ;;
        esac
    done < <(apt_mirrors_of_host debian)
fi
export DIB_DISTRIBUTION_MIRROR=${_debian_archive}

export DIB_DEBIAN_COMPONENTS=${DIB_DEBIAN_COMPONENTS:-main}
export DIB_DEBIAN_COMPONENTS_WS=${DIB_DEBIAN_COMPONENTS//,/ }

# A line for each file of sources.list.d, "name:sources line". No mirror known, no lines: then the image keeps those of
# the tool that makes the root, which knows a mirror by itself.
if [[ -z ${DIB_APT_SOURCES_CONF:-} && -n ${_debian_archive} ]]; then
    DIB_APT_SOURCES_CONF="default:deb ${_debian_options}${_debian_archive} ${DIB_RELEASE} ${DIB_DEBIAN_COMPONENTS_WS}"
    case ${DIB_RELEASE} in
    testing | unstable | sid) ;;
    *)
        DIB_APT_SOURCES_CONF+=$'\n'"updates:deb ${_debian_options}${_debian_archive} ${DIB_RELEASE}-updates ${DIB_DEBIAN_COMPONENTS_WS}"
        if [[ -n ${_debian_security} ]]; then
            DIB_APT_SOURCES_CONF+=$'\n'"security:deb ${_debian_options}${_debian_security} \
${DIB_RELEASE}-security${DIB_DEBIAN_SECURITY_SUBPATH:-} ${DIB_DEBIAN_COMPONENTS_WS}"
        fi
        ;;
    esac
fi
export DIB_APT_SOURCES_CONF=${DIB_APT_SOURCES_CONF:-}

unset _debian_archive _debian_security _debian_options _debian_kind _debian_url
