# Sourced. run COMMAND... prints a command line of the program and what it says, as Markdown; `options` are passed unprinted. Features are
# computed once.
deepcut=$(realpath "$(dirname "${BASH_SOURCE[0]}")/..")/target/release/deepcut
options=()
cache=$(mktemp -d)
trap 'rm -rf "$cache"' EXIT
# The pictures of a list of the project's own, if the data set has one: that of boxes (Main), or of instances (Segmentation).
development() {
    local file=$1/ImageSets/${2:-Main}/dev.txt
    [ ! -f "$file" ] || printf -- '--list %s' "$file"
}
run() {
    # Where data and networks lie is nobody's business.
    printf '\n```\n$ deepcut'
    for argument in "$@"; do printf ' %s' "${argument##*/}"; done
    printf '\n```\n\n'
    "$deepcut" "$@" "${options[@]}" --cache "$cache" --quiet
}
