# syntax=docker/dockerfile:1
# The image for people with a container engine; `make image` builds it without one.
#
#   docker buildx build --platform linux/amd64,linux/arm64 --tag NAME --push .
#
# Each platform is compiled natively: give buildx a builder with a machine of each kind. With emulation it works too, slowly.

# The version of Rust is that of rust-toolchain.toml.
FROM rust:1.95.0-bookworm AS build
WORKDIR /src
COPY . .
RUN tools/image rootfs /rootfs

FROM scratch
# What the image was built from, such as the output of `git rev-parse HEAD`.
ARG REVISION=unknown
LABEL org.opencontainers.image.title="sarvam-operator" \
      org.opencontainers.image.description="Pauses and resumes the phone lines of Sarvam voice agents from Git" \
      org.opencontainers.image.source="https://github.com/sarvam-operator/sarvam-operator" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /rootfs/ /
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/sarvam-operator"]
