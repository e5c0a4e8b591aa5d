# What kind of Ubuntu this is and where it comes from.
#
# Reads:   DISTRO_NAME, DIB_RELEASE, DIB_DISTRIBUTION_MIRROR, DIB_DEBIAN_COMPONENTS; apt_mirrors_of_host (element dpkg)
# Exports: the same four, EFI_BOOT_DIR
export DISTRO_NAME=${DISTRO_NAME:-ubuntu}
export DIB_RELEASE=${DIB_RELEASE:-noble}
export DIB_DEBIAN_COMPONENTS=${DIB_DEBIAN_COMPONENTS:-main,universe}
export EFI_BOOT_DIR=EFI/ubuntu

if [[ -z ${DIB_DISTRIBUTION_MIRROR:-} ]]; then
    while read -r _ubuntu_kind _ubuntu_url; do
        if [[ ${_ubuntu_kind} == archive ]]; then
            DIB_DISTRIBUTION_MIRROR=${_ubuntu_url}
        fi
    done < <(apt_mirrors_of_host ubuntu)
    unset _ubuntu_kind _ubuntu_url
fi
export DIB_DISTRIBUTION_MIRROR=${DIB_DISTRIBUTION_MIRROR:-}
