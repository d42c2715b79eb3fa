#!/bin/sh
# Optional system packages: more Korean fonts and colour emoji. Nothing fails without them; `varco-vision doctor` lists them.
# With the argument "training": also the faces that the shipped model was trained and measured on.
set -u
packages="fonts-nanum fonts-noto-color-emoji"
if [ "${1:-}" = training ]; then
    packages="$packages fonts-nanum-extra fonts-nanum-coding fonts-unfonts-core fonts-unfonts-extra fonts-noto-cjk"
    packages="$packages fonts-dejavu-core fonts-dejavu-extra fonts-liberation fonts-baekmuk fonts-alee"
fi
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
