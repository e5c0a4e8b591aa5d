#!/bin/bash
# Configure network interfaces that have no configuration yet by DHCP, and bring them up.
#
# Usage:  dhcp-all-interfaces.sh [INTERFACE...]      default: all that there are
# Reads:  /sys/class/net, /etc/default/dhcp-all-interfaces: TIMEOUT, in seconds; what routers say
# Writes: /etc/network/interfaces.d/INTERFACE
set -euo pipefail

TIMEOUT=30
if [[ -r /etc/default/dhcp-all-interfaces ]]; then
    # shellcheck source=/dev/null
    source /etc/default/dhcp-all-interfaces
fi

# Tell whether it is hardware, or a VLAN on it, by how it came to its address: 0 has its own, 2 has that of another.
# Source: Linux, Documentation/ABI/testing/sysfs-class-net, addr_assign_type.
is_real() {
    local parent=${1%%.*}
    case $(<"/sys/class/net/$1/addr_assign_type") in
    0) true ;;
    2) [[ ${parent} != "$1" && $(cat "/sys/class/net/${parent}/addr_assign_type" 2>/dev/null) == 0 ]] ;;
    *) false ;;
    esac
}

has_link() {
    local tries
    for ((tries = TIMEOUT; tries > 0; tries--)); do
        ip link set dev "$1" up || true
        if [[ $(cat "/sys/class/net/$1/carrier" 2>/dev/null) == 1 ]]; then
            return 0
        fi
        sleep 1
    done
    return 1
}

# Print what the routers say; fail if there are none, or none answers.
ask_routers() {
    local tries status
    for ((tries = TIMEOUT; tries > 0; tries--)); do
        status=0
        rdisc6 --retry 3 --single "$1" 2>/dev/null || status=$?
        if [[ ${status} -ne 1 ]]; then
            return "${status}"
        fi
        sleep 1 # it needs an address of the link first, which takes a moment
    done
    return 1
}

# Print the stanzas of an interface. Hotplug: that it is missing is no fault.
stanzas() {
    local said
    printf '%s\n' "allow-hotplug $1" "iface $1 inet dhcp"
    if ! said=$(ask_routers "$1"); then
        return
    fi
    if grep -Eq '^Stateful address conf\. *: *Yes' <<<"${said}"; then
        printf '%s\n' "iface $1 inet6 dhcp"
    elif grep -Eq '^Stateful other conf\. *: *Yes' <<<"${said}"; then
        printf '%s\n' "iface $1 inet6 auto" '    dhcp 1'
    else
        printf '%s\n' "iface $1 inet6 auto" '    dhcp 0'
    fi
}

configure() {
    local unfinished
    if ifquery "$1" >/dev/null 2>&1; then
        printf '%s: is configured\n' "$1"
    elif ! is_real "$1"; then
        printf '%s: is not hardware, nothing done\n' "$1"
        return
    elif ! has_link "$1"; then
        printf '%s: has no link, nothing done\n' "$1"
        return
    else
        unfinished=$(mktemp)
        stanzas "$1" >"${unfinished}"
        install -D -m 0644 "${unfinished}" "/etc/network/interfaces.d/$1"
        rm -f "${unfinished}"
        printf '%s: now configured by DHCP\n' "$1"
    fi
    ifup "$1"
}

if [[ $# -eq 0 ]]; then
    cd /sys/class/net
    set -- *
fi
for interface in "$@"; do
    if [[ ${interface} != lo ]]; then
        configure "${interface}"
    fi
done
