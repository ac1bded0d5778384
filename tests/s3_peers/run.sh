#!/usr/bin/env bash
# The example registry and the Go registry (Debian's docker-registry) on the same
# bucket, with skopeo as their client. scripts/test.sh s3_peers starts the servers
# and says where they are: STORAGEDRIVER_S3_RADOSGW and STORAGEDRIVER_S3_SEAWEEDFS
# are their endpoints, STORAGEDRIVER_S3_PYTHON has boto3.
#
#   tests/s3_peers/run.sh [unittest options]
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source=scripts/lib.sh
. ../../scripts/lib.sh

: "${REGISTRY_BIN:=$PWD/../../build/examples-c/registry}"
[ -x "$REGISTRY_BIN" ] || die "no registry at $REGISTRY_BIN: build the examples first"
export REGISTRY_BIN
unset REGISTRY_DRIVER REGISTRY_PARAMS REGISTRY_WRAPPER
clean_env
export PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=../peers
exec "${STORAGEDRIVER_S3_PYTHON:-python3}" -m unittest -v "$@"
