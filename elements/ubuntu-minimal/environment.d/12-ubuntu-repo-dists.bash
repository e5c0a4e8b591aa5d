# The apt sources of the image: the release and its pockets, all of one mirror.
#
# Reads:   DIB_RELEASE, DIB_DISTRIBUTION_MIRROR, DIB_DEBIAN_COMPONENTS, DIB_UBUNTU_MIRROR_DISTS, DIB_APT_SOURCES_CONF
# Exports: DIB_UBUNTU_MIRROR_DISTS, DIB_APT_SOURCES_CONF
export DIB_UBUNTU_MIRROR_DISTS=${DIB_UBUNTU_MIRROR_DISTS-updates,security,backports}

# Lines "name:sources line", which debootstrap's fingerprint reads as well. No mirror known, no lines: then the image
# keeps those of the tool that makes the root.
if [[ -z ${DIB_APT_SOURCES_CONF:-} && -n ${DIB_DISTRIBUTION_MIRROR} ]]; then
    DIB_APT_SOURCES_CONF="default:deb ${DIB_DISTRIBUTION_MIRROR} ${DIB_RELEASE} ${DIB_DEBIAN_COMPONENTS//,/ }"
    for _ubuntu_pocket in ${DIB_UBUNTU_MIRROR_DISTS//,/ }; do
        DIB_APT_SOURCES_CONF+=$'\n'"${_ubuntu_pocket}:deb ${DIB_DISTRIBUTION_MIRROR} \
${DIB_RELEASE}-${_ubuntu_pocket} ${DIB_DEBIAN_COMPONENTS//,/ }"
    done
    unset _ubuntu_pocket
fi
export DIB_APT_SOURCES_CONF=${DIB_APT_SOURCES_CONF:-}
