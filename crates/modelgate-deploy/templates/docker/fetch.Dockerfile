# The binary is one file without libraries. Its archive is checked against MODELGATE_SHA256 when that is given, which is the
# way to trust nothing but what you looked at yourself, and else against the release's own list.
FROM alpine:3.22.1@sha256:4bcff63911fcb4448bd4fdacec207030997caf25e9bea4045fa6c8c44de311d1 AS fetch
ARG TARGETARCH=amd64
ARG MODELGATE_VERSION=@@VERSION@@
ARG MODELGATE_SHA256=""
SHELL ["/bin/ash", "-euo", "pipefail", "-c"]
WORKDIR /fetch
RUN case "$TARGETARCH" in \
      amd64) machine=x86_64 ;; \
      arm64) machine=aarch64 ;; \
      *) echo "there is no modelgate for $TARGETARCH" >&2; exit 1 ;; \
    esac; \
    file="modelgate-$machine-unknown-linux-musl.tar.gz"; \
    base="https://github.com/@@REPOSITORY@@/releases/download/v$MODELGATE_VERSION"; \
    wget -q "$base/$file" "$base/SHA256SUMS"; \
    if [ -n "$MODELGATE_SHA256" ]; then echo "$MODELGATE_SHA256  $file" > SHA256SUMS; fi; \
    grep -E "^[0-9a-f]{64}  $file\$" SHA256SUMS | sha256sum -c -; \
    tar -xzf "$file"; \
    mkdir -p /image/usr/local/bin /image/etc/ssl/certs /image/tmp /image/models; \
    install -m 0755 modelgate /image/usr/local/bin/modelgate; \
    install -m 0644 /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/ca-certificates.crt; \
    chmod 1777 /image/tmp
