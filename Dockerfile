# syntax=docker/dockerfile:1

# One image with the three programs; what runs is the container's entrypoint:
# /api, /worker or /sluice. Give it a version with
#
#   docker build --build-arg VERSION="$(git describe --tags --always)" -t sluice .

# Go compiles for other machines faster than it runs in their emulation.
FROM --platform=$BUILDPLATFORM golang:1.26 AS build
WORKDIR /src
# Modules first, so that a change of code doesn't fetch them again.
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY cmd/ cmd/
COPY internal/ internal/
ARG TARGETOS TARGETARCH VERSION
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -buildvcs=false \
    -ldflags="-s -w -X sluice/internal/telemetry.linked=$VERSION" \
    -o /out/ ./cmd/api ./cmd/worker ./cmd/sluice

# No shell and no package manager; certificates of the public authorities are
# in it, and a user that is not root.
FROM gcr.io/distroless/static:nonroot
COPY --from=build /out/api /out/worker /out/sluice /
COPY configs/ /etc/sluice/
ENV SLUICE_CONFIG=/etc/sluice/sluice.yaml
USER nonroot:nonroot
EXPOSE 8080 8090 9090 9091
ENTRYPOINT ["/api"]
