# Keys of package sources that are not in the distribution's own keyring.
#
# Reads:   DIB_ADD_APT_KEYS
# Exports: the same, empty by default
export DIB_ADD_APT_KEYS=${DIB_ADD_APT_KEYS:-}
