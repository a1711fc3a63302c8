#!/usr/bin/env bash
# Makes the README's overlays with the program itself.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for name in duck mug hare; do
    cargo run --release --quiet -- segment "examples/pictures/$name.jpg" -o "$work/$name.overlay.png" --format overlay
    cargo run --release --quiet -- segment "examples/pictures/$name.jpg" -o "$work/$name.parts.png" --format overlay --mode parts
done
mv "$work"/*.png docs/
