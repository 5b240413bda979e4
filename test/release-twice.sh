#!/usr/bin/env bash
# Builds a release of HEAD here and in a clone, whose path, umask and time zone are different, and which may not download
# modules. Compares the bytes. RELEASE_PLATFORMS in the environment reaches both builds.
# Usage: test/release-twice.sh VERSION
set -euo pipefail

version=$1
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD
if [[ -n $(git status --porcelain) ]]; then
	echo 'error: there are uncommitted changes; the second build is a clone and would not have them' >&2
	exit 1
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
clone="$work/a/directory with another/length"
git clone --quiet "$root" "$clone"
mkdir "$clone/bin"
ln -s "$root/bin/tools" "$clone/bin/tools"

# --old-file: make must not rebuild the tool because the clone's files are newer.
make release-snapshot VERSION="$version"
(
	umask 077
	GOPROXY=off TZ=Asia/Tokyo make -C "$clone" --old-file=bin/tools/cyclonedx-gomod release-snapshot VERSION="$version"
)

for dir in "$root" "$clone"; do
	(cd "$dir/dist/release" && sha256sum --check --quiet checksums.txt)
done
diff "$root/dist/release/checksums.txt" "$clone/dist/release/checksums.txt"
diff --recursive "$root/dist/krew-index" "$clone/dist/krew-index"
archives=$(grep -c '\.tar\.gz$' dist/release/checksums.txt) sboms=$(grep -c '\.cdx\.json$' dist/release/checksums.txt)
if ((sboms == 0)); then
	echo 'error: there are no SBOMs' >&2
	exit 1
fi
echo "equal bytes in both directories: $archives archives, $sboms SBOMs and the krew index"
