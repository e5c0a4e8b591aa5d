# Data from a disk or from the image, and from nowhere else.
#
# Exports: DIB_CLOUD_INIT_DATASOURCES
export DIB_CLOUD_INIT_DATASOURCES=NoCloud
