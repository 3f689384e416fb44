#!/usr/bin/env bash
# The programs that we did not write and test against: Debian packages, none of which starts a service here.
set -euo pipefail
packages=(sip-tester baresip-core tshark sox espeak-ng postgresql)
missing=()
for p in "${packages[@]}"; do dpkg -s "$p" >/dev/null 2>&1 || missing+=("$p"); done
[ ${#missing[@]} -eq 0 ] && exit 0
sudo=''; [ "$(id -u)" -eq 0 ] || sudo='sudo'
$sudo apt-get update -qq
# policy-rc.d: PostgreSQL's package would start a cluster of its own; ours is started by postgres.sh.
DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "${missing[@]}"
