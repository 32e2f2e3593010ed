# Make /opt/bench/venv from the wheels of a folder: only what the locks name, by hash.
# Two runs give the same bytes: one process compiles, and sets have one order in it.
set -eu
build=$1
venv=/opt/bench/venv
export PYTHONHASHSEED=0 PYTHONDONTWRITEBYTECODE=1

python3.11 -m venv --without-pip "$venv"
pip() {
    python3.11 "$(echo /usr/share/python-wheels/pip-*.whl)/pip" --python "$venv/bin/python" \
        --isolated --disable-pip-version-check --no-cache-dir --quiet install --no-index \
        --find-links "$build/wheels" --require-hashes --no-deps --no-compile "$@"
}
pip --only-binary=:all: --requirement "$build/wheels.txt"
if [ -s "$build/sources.txt" ]; then  # built here, with the setuptools of the lock
    pip --no-build-isolation --requirement "$build/sources.txt"
fi
while read -r pattern; do
    case $pattern in '' | '#'*) continue ;; esac
    # shellcheck disable=SC2086 # the pattern is to be expanded
    rm -rf "$venv"/lib/python3.11/site-packages/$pattern
done < "$build/unused.txt"
"$venv/bin/python" -m compileall -q --invalidation-mode unchecked-hash \
    "$venv/lib/python3.11/site-packages"
# shellcheck disable=SC2046 # one argument a module
HOME=/tmp "$venv/bin/python" -c 'import importlib, sys; [*map(importlib.import_module, sys.argv[1:])]' \
    $(cat "$build/imports.txt")
rm -rf /tmp/*
