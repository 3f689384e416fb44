#!/usr/bin/env bash
# Everything that is tested against programs we did not write: sipp, baresip, PostgreSQL. Installs them first.
set -euo pipefail
cd "$(dirname "$0")/../.."
bash test/peers/install.sh

echo '── sipp and baresip'
npx --no-install vitest run --config test/peers/vitest.config.ts

echo '── storage on a real PostgreSQL'
bash test/peers/postgres.sh run npx --no-install vitest run test/storage

echo '── a whole server on a real PostgreSQL'
bash test/peers/postgres.sh run npx --no-install vitest run test/e2e/outbound.test.ts
