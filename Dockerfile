# The base needs Node 20.19 or later on Debian. Where no registry is reachable: scripts/base-image.
# packages: ca-certificates g++ iproute2 iputils-ping make nftables procps python3 tcpdump wireguard-go wireguard-tools
ARG BASE=node:20-bookworm-slim

FROM ${BASE} AS tools
RUN command -v nft wg wireguard-go g++ ping >/dev/null || { \
      apt-get update && apt-get install -y --no-install-recommends \
        ca-certificates g++ iproute2 iputils-ping make nftables procps python3 tcpdump wireguard-go wireguard-tools \
      && rm -rf /var/lib/apt/lists/*; }

FROM tools AS build
WORKDIR /guise
COPY package.json package-lock.json ./
# A base made by scripts/base-image brings the npm packages of its package-lock.json along.
RUN if cmp -s package-lock.json /opt/guise/package-lock.json; then cp -r /opt/guise/node_modules .; \
    else npm ci --ignore-scripts; fi
COPY binding.gyp compiler.gypi tsconfig.json ./
COPY scripts scripts
COPY native native
COPY src src
COPY client client
COPY server server
COPY test test
COPY bench bench
RUN npm run build

FROM tools
WORKDIR /guise
COPY --from=build /guise /guise
COPY scripts/rig /usr/local/bin/rig
RUN ln -s /guise/dist/client/main.js /usr/local/bin/guise-client \
 && ln -s /guise/dist/server/main.js /usr/local/bin/guise-server \
 && chmod +x /guise/dist/client/main.js /guise/dist/server/main.js /usr/local/bin/rig
