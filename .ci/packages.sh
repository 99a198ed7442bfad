# shellcheck shell=bash
# Sourced by quickstart.sh and test.sh: installs the Debian packages that are missing.

# What CMakeLists.txt asks for.
# shellcheck disable=SC2034
BUILD_PACKAGES=(g++ cmake ninja-build pkg-config ccache libasio-dev libtomlplusplus-dev libyaml-cpp-dev
                libssl-dev zlib1g-dev libcpp-httplib-dev nlohmann-json3-dev doctest-dev
                libsqlite3-dev libsodium-dev libhiredis-dev)
# For the browser page; any Node from 18 on will do, and npm may have come with it. A release archive
# has the page built.
if [ ! -f web/dist/index.html ]; then
  command -v node >/dev/null || BUILD_PACKAGES+=(nodejs)
  command -v npm >/dev/null || BUILD_PACKAGES+=(npm)
fi

is_installed() {
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

apt_install() {
  timeout 1200 "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get -q -y -o DPkg::Lock::Timeout=120 install --no-install-recommends "$@"
}

# install_packages NAME...: returns 1, having said why, if one cannot be had.
install_packages() {
  local missing=() name as_root=()
  if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    echo "This system has no apt-get, so nothing is installed. If the build misses something, look for"
    echo "what these packages of Debian 12 hold: $*"
    return 0
  fi
  for name in "$@"; do
    is_installed "$name" || missing+=("$name")
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  echo "Installing ${missing[*]}"
  if [ "$(id -u)" -ne 0 ]; then
    # Without a terminal nobody can type sudo's password.
    if ! command -v sudo >/dev/null || { [ ! -t 0 ] && ! sudo -n true 2>/dev/null; }; then
      echo "Installing packages needs root. Run this as root and start again:" >&2
      echo "  apt-get update && apt-get install --no-install-recommends ${missing[*]}" >&2
      return 1
    fi
    # Asks for the password now: below, it could not read from the terminal.
    sudo -v || return 1
    as_root=(sudo)
  fi
  # apt-get says much that is no trouble: shown only if it fails.
  local log
  log=$(mktemp)
  # A fresh image has no package lists, and old lists name files that are gone.
  if apt_install "${missing[@]}" >"$log" 2>&1 ||
    { timeout 600 "${as_root[@]}" apt-get -q update && apt_install "${missing[@]}"; } >"$log" 2>&1; then
    rm -f "$log"
    return 0
  fi
  tail -n 20 "$log" >&2
  rm -f "$log"
  echo "apt-get could not install ${missing[*]}: see its messages above." >&2
  return 1
}
