#!/bin/bash
# Make those ssh host keys that are missing. Each appears whole: ssh-keygen renames it into place.
#
# Reads:  nothing
# Writes: /etc/ssh/ssh_host_*_key and ssh_host_*_key.pub
set -euo pipefail

exec ssh-keygen -A
