# Which kernel the image gets.
#
# Reads:   DIB_UBUNTU_KERNEL
# Exports: the same, with its default
export DIB_UBUNTU_KERNEL=${DIB_UBUNTU_KERNEL:-linux-image-generic}
