#!/bin/sh
# Installs locked Python packages for an image, and takes out what a server never uses.
#
#   packages.sh LOCK FOLDER [ARCHITECTURE]
#
# FOLDER/packages and FOLDER/tensorflow are what two layers hold: TensorFlow changes seldom, and is most of what is there.
# Nothing of the packages is run: those of another architecture are as good as one's own.
set -eu
lock=$1 folder=$2 architecture=${3:-$(dpkg --print-architecture)}
case $architecture in
    amd64) machine=x86_64 strip=x86_64-linux-gnu-strip ;;
    arm64) machine=aarch64 strip=aarch64-linux-gnu-strip ;;
    *) echo "packages.sh: $architecture is neither amd64 nor arm64" >&2; exit 1 ;;
esac
here=$(dirname "$0")
site=usr/local/lib/python3.11/dist-packages
packages=$folder/packages/$site

# Debian 12 has glibc 2.36, and so takes wheels for all of these.
"$here/tools/bin/uv" pip install --quiet --no-cache --require-hashes --no-deps --only-binary :all: --python-version 3.11 \
    --python-platform "$machine-manylinux_2_36" --target "$packages" --requirements "$lock"
python3 "$here/slim.py" "$packages" "$strip"
PYTHONHASHSEED=0 python3 -m compileall -q -j 2 --invalidation-mode unchecked-hash -s "$folder/packages" "$packages"
"$here/tools/bin/python3" "$here/bill_of_materials.py" "$packages" "$here/debian" "$architecture" \
    > "$here/bill.json"
mkdir -p "$folder/packages/usr/share/sbom" "$folder/packages/etc/ssl" "$folder/tensorflow/$site"
mv "$here/bill.json" "$folder/packages/usr/share/sbom/sbom.cdx.json"
# Certificates for https:// and stores. Those that are mounted at /etc/ssl/certs count as well.
if [ -e "$packages/certifi" ]; then ln -s "/$site/certifi/cacert.pem" "$folder/packages/etc/ssl/cert.pem"; fi
if [ -e "$packages/tensorflow" ]; then mv "$packages/tensorflow" "$folder/tensorflow/$site/"; fi
find "$folder" -exec touch --no-dereference --date "@${SOURCE_DATE_EPOCH:-0}" {} +
