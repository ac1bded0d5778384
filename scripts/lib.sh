# Helpers shared by the scripts of this directory. Source it; it runs nothing.
# shellcheck shell=sh

# step TEXT: say what happens next, with the seconds since the script started.
_lib_start=$(date +%s)
step() {
    printf '\n==> [%3ds] %s\n' "$(($(date +%s) - _lib_start))" "$*"
}

# die TEXT: say why on stderr and stop.
die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# missing_packages PKG...: print those that dpkg does not have installed.
missing_packages() {
    for _pkg in "$@"; do
        case $(dpkg-query -W -f '${Status}' "$_pkg" 2>/dev/null) in
        *' installed') ;;
        *) printf '%s ' "$_pkg" ;;
        esac
    done
}

# need_packages PKG...: root installs what is missing from Debian; anybody else
# gets the one line to run, and the script ends.
need_packages() {
    command -v dpkg-query >/dev/null 2>&1 || die "not a Debian system; needed: $*"
    _missing=$(missing_packages "$@")
    [ -n "$_missing" ] || return 0
    if [ "$(id -u)" -ne 0 ]; then
        printf 'Missing Debian packages. Run this, then start again:\n' >&2
        printf '  sudo apt-get install --no-install-recommends %s\n' "$_missing" >&2
        exit 1
    fi
    step "installing from Debian: $_missing"
    DEBIAN_FRONTEND=noninteractive
    export DEBIAN_FRONTEND
    apt-get -o Acquire::Retries=3 update || die "apt-get update failed"
    # shellcheck disable=SC2086 # one word per package
    apt-get -o Acquire::Retries=3 install -y --no-install-recommends $_missing || die "apt-get install failed"
}

# need_venv DIRECTORY REQUIREMENTS: a Python environment that has these packages of PyPI.
need_venv() {
    ! cmp -s "$2" "$1/requirements.txt" || return 0
    step "installing from PyPI what $2 names"
    python3 -m venv "$1" || die "no Python environment in $1"
    "$1/bin/pip" install --quiet --disable-pip-version-check --retries 10 -r "$2" \
        || die "pip install failed"
    cp "$2" "$1/requirements.txt"
}

# clean_env: drop CA bundles and proxies, which lead test clients on loopback
# astray. Call it around test programs only: installing may need them.
clean_env() {
    unset AWS_CA_BUNDLE SSL_CERT_FILE SSL_CERT_DIR CURL_CA_BUNDLE REQUESTS_CA_BUNDLE \
        NODE_EXTRA_CA_CERTS GIT_SSL_CAINFO PIP_CERT \
        HTTP_PROXY HTTPS_PROXY ALL_PROXY FTP_PROXY NO_PROXY \
        http_proxy https_proxy all_proxy ftp_proxy no_proxy
}
