#!/bin/sh
# Starts a server on a free port with an empty folder, waits until it has stored
# some of its own metrics, and drives the application in a browser: browser.sh BINARY.
set -eu
folder=$(mktemp -d)
port=$(node -e "const s = require('net').createServer().listen(0, '127.0.0.1', () => { console.log(s.address().port); s.close() })")
cat >"$folder/varve.yml" <<END
global: {scrape_interval: 2s, scrape_timeout: 1s}
scrape_configs:
  - {job_name: itself, static_configs: [{targets: ["127.0.0.1:$port"], labels: {zone: a}}]}
  - {job_name: nobody, static_configs: [{targets: ["127.0.0.1:1"]}]}
END
"$1" serve --config.file="$folder/varve.yml" --http.listen="127.0.0.1:$port" --storage.path="$folder/data" \
	--web.enable-admin-api --self-scrape.interval=2s 2>"$folder/log" &
server=$!
trap 'kill $server 2>/dev/null || true; wait $server || true; rm -rf "$folder"' EXIT
sleep 60
node test/browser.mjs "http://127.0.0.1:$port/" "${SCREENSHOTS:-}" || {
	tail -n 20 "$folder/log"
	exit 1
}
