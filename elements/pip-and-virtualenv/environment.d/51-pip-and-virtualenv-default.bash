# How hooks call pip and make virtual environments.
#
# Reads:   DISTRO_NAME, DIB_PYTHON_VERSION, DIB_INSTALLTYPE_pip_and_virtualenv; /usr/local/bin/dib-python
# Exports: DIB_PYTHON_PIP, DIB_PYTHON_VIRTUALENV where dib-python is;
#          DIB_INSTALLTYPE_pip_and_virtualenv on distributions whose own pip must not be replaced
case ${DISTRO_NAME} in
centos | rhel)
    export DIB_INSTALLTYPE_pip_and_virtualenv=${DIB_INSTALLTYPE_pip_and_virtualenv:-package}
    if [[ ${DIB_INSTALLTYPE_pip_and_virtualenv} == source ]]; then
        printf 'pip-and-virtualenv: install type "source" is not possible on %s\n' "${DISTRO_NAME}" >&2
        exit 1
    fi
    ;;
esac

# A virtual environment notes the path of its interpreter, and dib-python will be gone.
if [[ -e /usr/local/bin/dib-python ]]; then
    _pip_python=$(readlink /usr/local/bin/dib-python)
    export DIB_PYTHON_PIP="${_pip_python} -m pip"
    if [[ ${DIB_PYTHON_VERSION} == 3 ]]; then
        export DIB_PYTHON_VIRTUALENV="${_pip_python} -m venv"
    else
        export DIB_PYTHON_VIRTUALENV="${_pip_python} -m virtualenv"
    fi
    unset _pip_python
fi
