#!/usr/bin/env bash
# One Ceph of one monitor, one OSD and radosgw (Debian), without systemd and mgr.
# radosgw.sh DIRECTORY [PORT]
#
# STORE=memstore (the default) keeps objects in memory: if its OSD has ended, the
# cluster is made anew. STORE=bluestore keeps them in a sparse file, for tests
# that kill something and start it again.
set -euo pipefail
work=${1-}
# shellcheck source=tests/services/lib.sh
. "$(dirname "$0")/lib.sh"

store=${STORE:-memstore}
if [ "$store" = memstore ] && [ -s "$work/fsid" ] && ! alive osd; then
    for name in radosgw mon; do stop $name; done
    rm -rf "$work"/{mon,osd,rgw,fsid,keyring,monmap,user}
fi
mkdir -p "$work"/{mon,osd,rgw}
fresh=
if [ ! -s "$work/fsid" ]; then
    fresh=yes
    cat /proc/sys/kernel/random/uuid >"$work/fsid"
fi
fsid=$(cat "$work/fsid")
mon=$(port mon) osd=$(port osd) http=$(port radosgw "${2-}") https=$(port radosgw-tls)
conf=$work/ceph.conf
export CEPH_CONF=$conf

# A certificate that nobody trusts who is not told to.
if [ ! -s "$work/tls.pem" ]; then
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
        -subj /CN=radosgw -addext 'subjectAltName=IP:127.0.0.1,DNS:localhost' \
        -addext basicConstraints=critical,CA:FALSE \
        -keyout "$work/tls.key" -out "$work/tls.pem" >"$work/log/openssl.out" 2>&1
fi

# Small and quick: 4 placement groups a pool, one copy, no scrub, no history.
cat >"$conf" <<CONF
[global]
fsid = $fsid
mon host = v2:127.0.0.1:$mon/0
public addr = 127.0.0.1
cluster addr = 127.0.0.1
keyring = $work/keyring
run dir = $work/run
pid file =
admin socket = $work/run/\$name.\$pid.asok
log file = $work/log/\$name.log
log to stderr = false
mon cluster log file = $work/log/cluster.log
ms bind port min = $osd
ms bind port max = $((osd + 300))
ms async op threads = 1
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pgp num = 4
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon max pg per osd = 2000
mon warn on pool no redundancy = false
mon data avail crit = 1
mon osd full ratio = 0.98
mon osd nearfull ratio = 0.97
mon osd backfillfull ratio = 0.975
setuser match path =
[mon]
mon data = $work/mon
mon election timeout = 1
paxos propose interval = 0.05
auth allow insecure global id reclaim = false
[osd]
osd data = $work/osd
osd objectstore = $store
osd op num shards = 1
osd op num threads per shard = 2
osd memory target = 939524096
memstore device bytes = 8589934592
bluestore block size = 21474836480
bluestore block create = true
osd class default list = *
osd class load list = *
osd scrub load threshold = 0.01
[client.rgw.a]
rgw data = $work/rgw
# Without tcp_nodelay each small answer waits 40 ms for an acknowledgement.
rgw frontends = beast endpoint=127.0.0.1:$http tcp_nodelay=1 ssl_endpoint=127.0.0.1:$https ssl_certificate=$work/tls.pem ssl_private_key=$work/tls.key
rgw dns name = s3.localhost
rgw thread pool size = 64
# What was deleted would stay in memory for hours.
rgw gc obj min wait = 5
rgw gc processor period = 5
rgw gc processor max time = 5
rgw rados pool pg num min = 4
# What is deleted goes at once, not two hours later: it is memory.
rgw gc obj min wait = 2
rgw gc processor period = 2
rgw gc processor max time = 2
rgw gc max concurrent io = 32
rgw gc max trim chunk = 256
debug rgw = 1
CONF

if [ -n "$fresh" ]; then
    # All keys go into the monitor's first keyring, so that nothing has to ask for one.
    all=(--cap mon 'allow *' --cap osd 'allow *')
    ceph-authtool --create-keyring "$work/keyring" --gen-key -n mon. --cap mon 'allow *'
    ceph-authtool "$work/keyring" --gen-key -n client.admin "${all[@]}"
    ceph-authtool "$work/keyring" --gen-key -n osd.0 --cap mon 'allow profile osd' --cap osd 'allow *'
    ceph-authtool "$work/keyring" --gen-key -n client.rgw.a --cap mon 'allow rw' --cap osd 'allow rwx'
    monmaptool --create --clobber --fsid "$fsid" --enable-all-features \
        --addv a "[v2:127.0.0.1:$mon]" "$work/monmap"
    ceph-mon --mkfs -i a --monmap "$work/monmap" --keyring "$work/keyring"
fi >"$work/log/mkfs.out" 2>&1
start mon ceph-mon -f -i a -c "$conf"
wait_for mon 120 listens "$mon"
if [ -n "$fresh" ]; then
    uuid=$(cat /proc/sys/kernel/random/uuid)
    ceph osd new "$uuid" 0
    ceph-osd --mkfs -i 0 --osd-uuid "$uuid"
fi >>"$work/log/mkfs.out" 2>&1
start osd ceph-osd -f -i 0 -c "$conf"
start radosgw radosgw -f -n client.rgw.a -c "$conf"
wait_for radosgw 300 answers "http://127.0.0.1:$http/"
if [ ! -e "$work/user" ]; then
    radosgw-admin -n client.rgw.a user create --uid=test --display-name=test --max-buckets=0 \
        --access-key="$access_key" --secret="$secret_key" >>"$work/log/radosgw-admin.out" 2>&1
    touch "$work/user"
fi
make_bucket "http://127.0.0.1:$http"
tell "http://127.0.0.1:$http"
echo "S3_TLS_ENDPOINT=https://127.0.0.1:$https"
echo "S3_TLS_CERTIFICATE=$work/tls.pem"
