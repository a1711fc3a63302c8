#!/usr/bin/env bash
# Makes the README's overlays with the program itself: tools/pictures.sh. Needs Python with Pillow, which makes the PNGs small JPEGs.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
run() {
    cargo run --release --quiet -- "$@" --format overlay --quiet
}
run cosegment examples/pictures/ducks?.jpg -k 4 -o "$work"
run segment examples/pictures/mug.jpg -o "$work/mug.png"
run segment examples/pictures/mug.jpg --refine none -o "$work/mug.patches.png"
mkdir -p docs/pictures
python3 - "$work"/*.png << 'PYTHON'
import os, sys
from PIL import Image

for path in sys.argv[1:]:
    name = os.path.basename(path).removesuffix(".png").removesuffix(".overlay")
    Image.open(path).convert("RGB").save(f"docs/pictures/{name}.jpg", quality=82, optimize=True)
PYTHON
