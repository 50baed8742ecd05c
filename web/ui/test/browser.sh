#!/bin/sh
# Starts a server on a free port with an empty folder, waits until it has stored
# some of its own metrics, and drives the application in a browser: browser.sh BINARY.
set -eu
folder=$(mktemp -d)
port=$(node -e "const s = require('net').createServer().listen(0, '127.0.0.1', () => { console.log(s.address().port); s.close() })")
"$1" serve --http.listen="127.0.0.1:$port" --storage.path="$folder/data" \
	--web.enable-admin-api --self-scrape.interval=2s 2>"$folder/log" &
server=$!
trap 'kill $server 2>/dev/null || true; wait $server || true; rm -rf "$folder"' EXIT
sleep 60
node test/browser.mjs "http://127.0.0.1:$port/" "${SCREENSHOTS:-}" || {
	tail -n 20 "$folder/log"
	exit 1
}
