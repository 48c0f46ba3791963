#!/bin/sh
# Makes the file system that both images begin with: Python and what it needs of Debian; no shell, no package manager.
#
#   debian_root.sh FOLDER [ARCHITECTURE]    ARCHITECTURE as dpkg writes it, amd64 or arm64; this machine's if absent
#
# Nothing of the packages is run: they are unpacked, so that another architecture's are as good as one's own.
set -eu
root=$1
architecture=${2:-$(dpkg --print-architecture)}
packages="base-files libbz2-1.0 libc6 libcrypt1 libexpat1 libffi8 libgcc-s1 liblzma5 libpython3.11-minimal
    libpython3.11-stdlib libssl3 libstdc++6 libuuid1 python3.11-minimal zlib1g"

work=$(mktemp -d)
dpkg --add-architecture "$architecture"
apt-get update -qq
# shellcheck disable=SC2086  # A list of words.
(cd "$work" && apt-get -o APT::Sandbox::User=root download -qq $(printf "%s:$architecture " $packages))

# Debian's merged /usr, into which packages still unpack as /lib and the like.
mkdir -p "$root/usr/bin" "$root/usr/lib" "$root/usr/lib64" "$root/usr/sbin" "$root/var/lib/dpkg/status.d"
for folder in bin lib lib64 sbin; do ln -s "usr/$folder" "$root/$folder"; done
for package in "$work"/*.deb; do
    dpkg-deb --fsys-tarfile "$package" | tar --extract --keep-directory-symlink --directory "$root"
    # Where scanners for known flaws look in an image without dpkg.
    dpkg-deb --field "$package" > "$root/var/lib/dpkg/status.d/$(dpkg-deb --field "$package" Package)"
done

# What a process never reads: but licences stay.
find "$root/usr/share" -mindepth 1 -maxdepth 1 ! -name common-licenses ! -name doc -exec rm -rf {} +
find "$root/usr/share/doc" ! -type d ! -name copyright -delete
rm -rf "$root"/usr/lib/*/gconv "$root/usr/share/doc-base" "$root/etc/update-motd.d"
# Modules of Python whose libraries are not here: readline, curses, databases; and those of its own tests.
cd "$root/usr/lib/python3.11"
rm -rf lib-dynload/_curses* lib-dynload/_dbm* lib-dynload/_sqlite3* lib-dynload/_test* lib-dynload/_xxtest* \
    lib-dynload/_ctypes_test* lib-dynload/nis.* lib-dynload/readline* lib-dynload/xx* curses sqlite3 pydoc_data turtle*

ln -sf python3.11 "$root/usr/bin/python3"
cat > "$root/etc/passwd" <<'PASSWD'
root:x:0:0:root:/:/usr/sbin/nologin
nobody:x:65534:65534:nobody:/:/usr/sbin/nologin
app:x:10001:10001::/tmp:/usr/sbin/nologin
PASSWD
printf 'root:x:0:\nnogroup:x:65534:\napp:x:10001:\n' > "$root/etc/group"
printf 'hosts: files dns\n' > "$root/etc/nsswitch.conf"
mkdir -p "$root/etc/ssl/certs" "$root/usr/lib/ssl"
ln -sfn /etc/ssl/certs "$root/usr/lib/ssl/certs"
ln -sf /etc/ssl/cert.pem "$root/usr/lib/ssl/cert.pem"
chmod 1777 "$root/tmp"
rm -rf "$work"

# Bytecode, which the packages would have made when they were installed; and one time for all files, so that what is
# built twice from the same packages is the same layer.
PYTHONHASHSEED=0 python3 -m compileall -q --invalidation-mode unchecked-hash -s "$root" "$root/usr/lib/python3.11"
find "$root" -exec touch --no-dereference --date "@${SOURCE_DATE_EPOCH:-0}" {} +
