# A static binary in an image without anything else. The data folder is /data.
FROM golang:1.26-trixie AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=""
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=$VERSION" -o /out/siaran ./cmd/siaran \
 && mkdir -p /out/data

FROM scratch
COPY --from=build /out/siaran /siaran
COPY --from=build --chown=65532:65532 --chmod=0700 /out/data /data
USER 65532:65532
ENV SIARAN_DATA=/data SIARAN_LOG_FORMAT=json
VOLUME /data
EXPOSE 8080/tcp 8189/udp
# Whether it is well is asked from outside: GET /healthz and /readyz. There is no shell in here to ask with.
ENTRYPOINT ["/siaran"]
CMD ["serve"]
