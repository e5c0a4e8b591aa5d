# The mirrors that apt is configured with, for environment files of operating systems with apt: on a host of the same
# distribution the host's before there is a root, and in each phase inside the root's own.
#
# Reads:   apt's configuration, /etc/os-release
# Defines: apt_mirrors_of_host, for files of environment.d that come later

# Print "archive URL" and "security URL", as far as they are known, if this is the distribution $1.
#
# `update --print-uris` only prints what an update would fetch; it needs no package lists and no privileges. The archive
# is the first URL with main of a release and of its updates, which no other repository has; else, for releases in the
# making, the first that is called like the distribution.
apt_mirrors_of_host() {
    local kind url
    if ! grep -qsx "ID=$1" /etc/os-release || ! command -v apt-get >/dev/null; then
        return 0
    fi
    # shellcheck disable=SC2016 # the dollar signs are awk's
    { apt-get update --print-uris 2>/dev/null || true; } | awk -F "'" -v distribution="$1" '
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
                if (urls[i] ~ ("/" distribution "$")) archive = urls[i]
            if (archive != "") print "archive", archive
            if (security != "") print "security", security
        }' | while read -r kind url; do
        # Cloud images name a file with a list of mirrors, which only apt understands: take the first of the list.
        if [[ ${url} == mirror+file:* && -r ${url#mirror+file:} ]]; then
            url=$(awk '!/^[[:blank:]]*(#|$)/ { sub("/*$", "", $1); print $1; exit }' "${url#mirror+file:}")
        fi
        if [[ ${url} == http*://* ]]; then
            printf '%s %s\n' "${kind}" "${url}"
        fi
    done
}
