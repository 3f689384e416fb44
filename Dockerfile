# Small and not root: the sources run as they are (Node strips the types), so there is no build stage for them.
FROM node:24-slim AS packages
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund

FROM node:24-slim
WORKDIR /app
ENV NODE_ENV=production TRUNKLINE_DATA_DIR=/data TRUNKLINE_HTTP_HOST=0.0.0.0 TRUNKLINE_SIP_HOST=0.0.0.0
COPY --from=packages /app/node_modules ./node_modules
COPY package.json LICENSE ./
COPY src ./src
# For `demo`, `bot init` and `bot test`.
COPY fixtures/audio ./fixtures/audio
COPY examples ./examples
RUN mkdir /data && chown node:node /data
USER node
VOLUME /data
# SIP and RTP want the host's network (`docker run --network host`): a NAT in between rewrites what SDP promises.
EXPOSE 8080/tcp 5060/udp 5060/tcp
CMD ["node", "src/main.ts"]
