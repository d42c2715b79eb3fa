#!/bin/sh
# Optional system packages: more Korean fonts and colour emoji. Nothing fails without them; `varco-vision doctor` lists them.
set -u
packages="fonts-nanum fonts-noto-color-emoji"
command -v apt-get >/dev/null 2>&1 || exit 0
[ "$(id -u)" = 0 ] || exit 0
missing=""
for package in $packages; do
    dpkg -s "$package" >/dev/null 2>&1 || missing="$missing $package"
done
[ -z "$missing" ] && exit 0
echo "installing optional fonts:$missing"
{ apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing; } >/dev/null 2>&1 ||
    echo "could not install$missing; going on without"
exit 0
