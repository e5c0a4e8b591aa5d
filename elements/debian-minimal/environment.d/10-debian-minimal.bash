# What kind of Debian this is and where it comes from.
#
# Reads:   DIB_RELEASE, DIB_DISTRIBUTION_MIRROR, DIB_DEBIAN_DISTRIBUTION_MIRROR, DIB_DEBIAN_SECURITY_MIRROR,
#          DIB_DEBIAN_SECURITY_SUBPATH, DIB_DEBIAN_COMPONENTS, DIB_APT_SOURCES_CONF; apt's configuration
# Exports: DISTRO_NAME, DIB_RELEASE, DIB_INIT_SYSTEM, EFI_BOOT_DIR, DIB_DISTRIBUTION_MIRROR, DIB_DEBIAN_COMPONENTS,
#          DIB_DEBIAN_COMPONENTS_WS, DIB_APT_SOURCES_CONF
export DISTRO_NAME=debian
export DIB_RELEASE=${DIB_RELEASE:-stable}
export DIB_INIT_SYSTEM=systemd
export EFI_BOOT_DIR=EFI/debian

# The mirrors that apt is configured with, "archive URL" and "security URL": on a Debian host the host's before there is
# a root, and in each phase inside the root's own. `update --print-uris` only prints what an update would fetch; it
# needs no package lists and no privileges.
# The archive is the first URL with main of a release and of its updates, which no other repository has; else, for
# testing and unstable, the first that is called debian.
_debian_mirrors=
if [[ -z ${DIB_DISTRIBUTION_MIRROR:-}${DIB_DEBIAN_DISTRIBUTION_MIRROR:-} || -z ${DIB_DEBIAN_SECURITY_MIRROR:-} ]] &&
    grep -qsx 'ID=debian' /etc/os-release && command -v apt-get >/dev/null; then
    # shellcheck disable=SC2016 # the dollar signs are awk's
    _debian_mirrors=$({ apt-get update --print-uris 2>/dev/null || true; } | awk -F "'" '
        match($2, "/main/binary-[^/]*/Packages") {
            dists = index($2, "/dists/")
            url = substr($2, 1, dists - 1)
            suite = substr($2, dists + 7, RSTART - dists - 7)
            if (suite ~ /(-security|\/updates)$/) {
                if (security == "") security = url
            } else if (!((url, suite) in offered)) {
                offered[url, suite] = 1
                urls[++count] = url
                suites[count] = suite
            }
        }
        END {
            for (i = 1; i <= count && archive == ""; i++)
                if ((urls[i], suites[i] "-updates") in offered) archive = urls[i]
            for (i = 1; i <= count && archive == ""; i++)
                if (urls[i] ~ /\/debian$/) archive = urls[i]
            if (archive != "") print "archive", archive
            if (security != "") print "security", security
        }')
fi

_debian_archive=${DIB_DEBIAN_DISTRIBUTION_MIRROR:-${DIB_DISTRIBUTION_MIRROR:-}}
_debian_security=${DIB_DEBIAN_SECURITY_MIRROR:-}
while read -r _debian_kind _debian_url; do
    # Cloud images name a file with a list of mirrors, which only apt understands: take the first of the list.
    if [[ ${_debian_url} == mirror+file:* && -r ${_debian_url#mirror+file:} ]]; then
        _debian_url=$(awk '!/^[[:blank:]]*(#|$)/ { sub("/*$", "", $1); print $1; exit }' "${_debian_url#mirror+file:}")
    fi
    case ${_debian_kind}:${_debian_url} in
    archive:http*://*) _debian_archive=${_debian_archive:-${_debian_url}} ;;
    security:http*://*) _debian_security=${_debian_security:-${_debian_url}} ;;
    esac
done <<<"${_debian_mirrors}"
export DIB_DISTRIBUTION_MIRROR=${_debian_archive}

export DIB_DEBIAN_COMPONENTS=${DIB_DEBIAN_COMPONENTS:-main}
export DIB_DEBIAN_COMPONENTS_WS=${DIB_DEBIAN_COMPONENTS//,/ }

# A line for each file of sources.list.d, "name:sources line". No mirror known, no lines: then the image keeps those of
# the tool that makes the root, which knows a mirror by itself.
if [[ -z ${DIB_APT_SOURCES_CONF:-} && -n ${_debian_archive} ]]; then
    DIB_APT_SOURCES_CONF="default:deb ${_debian_archive} ${DIB_RELEASE} ${DIB_DEBIAN_COMPONENTS_WS}"
    case ${DIB_RELEASE} in
    testing | unstable | sid) ;;
    *)
        DIB_APT_SOURCES_CONF+=$'\n'"updates:deb ${_debian_archive} ${DIB_RELEASE}-updates ${DIB_DEBIAN_COMPONENTS_WS}"
        if [[ -n ${_debian_security} ]]; then
            DIB_APT_SOURCES_CONF+=$'\n'"security:deb ${_debian_security} \
${DIB_RELEASE}-security${DIB_DEBIAN_SECURITY_SUBPATH:-} ${DIB_DEBIAN_COMPONENTS_WS}"
        fi
        ;;
    esac
fi
export DIB_APT_SOURCES_CONF=${DIB_APT_SOURCES_CONF:-}

unset _debian_mirrors _debian_archive _debian_security _debian_kind _debian_url
