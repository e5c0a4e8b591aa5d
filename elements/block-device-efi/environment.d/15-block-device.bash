# Say how the disk is started; Power machines do not know EFI.
#
# Reads:   ARCH
# Exports: DIB_BLOCK_DEVICE
case ${ARCH} in
ppc64 | ppc64le | ppc64el)
    printf 'block-device-efi: architecture "%s" has no EFI: use block-device-gpt or -mbr\n' "${ARCH}" >&2
    exit 1
    ;;
esac
export DIB_BLOCK_DEVICE=efi
