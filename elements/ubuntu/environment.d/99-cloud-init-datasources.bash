# Where cloud-init looks for its data, and the image that the root is made from.
#
# Reads:   DIB_CLOUD_INIT_DATASOURCES, DIB_LOCAL_IMAGE
# Exports: the same, each with its default
export DIB_CLOUD_INIT_DATASOURCES=${DIB_CLOUD_INIT_DATASOURCES:-Ec2}
export DIB_LOCAL_IMAGE=${DIB_LOCAL_IMAGE:-}
