# Say how the disk is started; 64-bit ARM machines only know EFI.
#
# Reads:   ARCH
# Exports: DIB_BLOCK_DEVICE
case ${ARCH} in
arm64 | aarch64)
    printf 'block-device-gpt: architecture "%s" starts from EFI only: use block-device-efi\n' "${ARCH}" >&2
    exit 1
    ;;
esac
export DIB_BLOCK_DEVICE=gpt
