# A static binary in an otherwise empty image. The data folder is /data.
FROM golang:1.26.8-trixie AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION="" COMMIT=""
RUN CGO_ENABLED=0 go build -trimpath -tags disable_grpc_modules \
      -ldflags "-s -w -X main.version=$VERSION -X main.commit=$COMMIT" \
      -o /out/siaran ./cmd/siaran \
 && mkdir -p /out/data

FROM scratch
# For TLS to Firestore, Firebase and the certificate authority.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/siaran /siaran
COPY --from=build --chown=65532:65532 --chmod=0700 /out/data /data
USER 65532:65532
ENV SIARAN_DATA=/data SIARAN_LOG_FORMAT=json
VOLUME /data
EXPOSE 8080/tcp 8189/udp 8189/tcp 3478/udp 3478/tcp
# Checks that the process answers. GET /readyz also reports whether it can reach the listing, for load balancers.
HEALTHCHECK --interval=10s --timeout=6s --start-period=30s --start-interval=1s CMD ["/siaran", "healthcheck"]
ENTRYPOINT ["/siaran"]
CMD ["serve"]
