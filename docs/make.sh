#!/usr/bin/env bash
# Makes the README's masks and parts with the program itself.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for name in duck mug hare; do
    cargo run --release --quiet -- segment "examples/pictures/$name.jpg" -o "$work/$name.mask.png" --format mask
    cargo run --release --quiet -- segment "examples/pictures/$name.jpg" -o "$work/$name.parts.png" --format overlay --mode parts
done
mv "$work"/*.png docs/
