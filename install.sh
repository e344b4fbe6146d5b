#!/bin/sh
# Installs a release of modelgate after its checksum holds.
#
#   curl -fsSL https://github.com/modelgate/modelgate/releases/latest/download/install.sh | sh
#
# MODELGATE_VERSION      the release, such as 0.1.0; the newest by default
# MODELGATE_INSTALL_DIR  where the binary goes; ~/.local/bin by default
# MODELGATE_RELEASES     where releases are, for mirrors
set -eu

fail() {
    printf 'install.sh: %s\n' "$*" >&2
    exit 1
}

have() {
    command -v "$1" >/dev/null 2>&1
}

platform() {
    system=$(uname -s)
    machine=$(uname -m)
    case "$system-$machine" in
        Linux-x86_64 | Linux-amd64) echo x86_64-unknown-linux-musl ;;
        Linux-aarch64 | Linux-arm64) echo aarch64-unknown-linux-musl ;;
        Darwin-x86_64) echo x86_64-apple-darwin ;;
        Darwin-arm64) echo aarch64-apple-darwin ;;
        *) fail "there is no binary for $system on $machine: \`cargo install --git https://github.com/modelgate/modelgate modelgate\` builds one" ;;
    esac
}

# fetch URL FILE
fetch() {
    if have curl; then
        curl -fsSL --retry 3 --output "$2" "$1" || fail "$1 cannot be downloaded"
    elif have wget; then
        wget -q -O "$2" "$1" || fail "$1 cannot be downloaded"
    else
        fail "curl or wget is needed"
    fi
}

checksum() {
    if have sha256sum; then
        sha256sum "$1" | cut -d ' ' -f 1
    elif have shasum; then
        shasum -a 256 "$1" | cut -d ' ' -f 1
    else
        fail "sha256sum or shasum is needed: nothing is installed without its checksum"
    fi
}

# The whole script is read before anything runs: a connection that breaks leaves nothing half done.
main() {
    releases=${MODELGATE_RELEASES:-https://github.com/modelgate/modelgate/releases}
    folder=${MODELGATE_INSTALL_DIR:-${HOME:?HOME is not set}/.local/bin}
    version=${MODELGATE_VERSION:-}
    case "$version" in
        "") from=$releases/latest/download ;;
        *[!0-9A-Za-z.-]*) fail "MODELGATE_VERSION is no version: $version" ;;
        *) from=$releases/download/v${version#v} ;;
    esac
    file=modelgate-$(platform).tar.gz
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM

    printf 'downloading %s\n' "$from/$file" >&2
    fetch "$from/$file" "$scratch/$file"
    fetch "$from/SHA256SUMS" "$scratch/SHA256SUMS"
    wanted=$(sed -n "s/^\([0-9a-f]\{64\}\)[ *]*$file\$/\1/p" "$scratch/SHA256SUMS")
    [ -n "$wanted" ] || fail "SHA256SUMS does not name $file"
    found=$(checksum "$scratch/$file")
    [ "$wanted" = "$found" ] || fail "$file is not what was released: its SHA-256 is $found, and $wanted was expected; nothing was installed"

    tar -xzf "$scratch/$file" -C "$scratch" ./modelgate || fail "$file cannot be unpacked"
    chmod 755 "$scratch/modelgate"
    "$scratch/modelgate" --version >/dev/null || fail "the binary does not run here"
    mkdir -p "$folder"
    # Beside its place first: an old binary that runs meanwhile stays whole.
    cp "$scratch/modelgate" "$folder/.modelgate.new"
    mv -f "$folder/.modelgate.new" "$folder/modelgate"
    printf 'installed %s in %s\n' "$("$folder/modelgate" --version)" "$folder" >&2
    case ":$PATH:" in
        *":$folder:"*) ;;
        *) printf 'put %s on your PATH to find it\n' "$folder" >&2 ;;
    esac
}

main "$@"
