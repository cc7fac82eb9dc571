#!/usr/bin/env bash
# Makes web/static/vendor/firebase anew from the npm package firebase: the two prebuilt modules that the studio needs to sign people
# in, changed in two ways. They import each other from beside them instead of from Google's CDN, and name no source map.
# Needs npm. Usage: web/vendor-firebase.sh
set -euo pipefail
version=12.8.0
integrity=sha512-S1tCIR3ENecee0tY2cfTHfMkXqkitHfbsvqpCtvsT0Zi9vDB7A4CodAjHfHCjVvu/XtGy1LHLjOasVcF10rCVw==
out=$(cd "$(dirname "$0")" && pwd)/static/vendor/firebase
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm pack --silent "firebase@$version" >/dev/null
found=sha512-$(openssl dgst -sha512 -binary "firebase-$version.tgz" | base64 -w0)
[ "$found" = "$integrity" ] || { echo "firebase-$version.tgz is not the file that this script was written for: $found" >&2; exit 1; }
tar xzf "firebase-$version.tgz" package/firebase-app.js package/firebase-auth.js
mkdir -p "$out"
for file in firebase-app.js firebase-auth.js; do
	sed -e "s|\(from *\)\"https://www.gstatic.com/firebasejs/$version/firebase-app.js\"|\1\"./firebase-app.js\"|" -e '/^\/\/# sourceMappingURL=/d' \
		"package/$file" >"$out/$file"
done
