# Unpack the pinned tools and compile the kit's own small programs into /opt/bench/tools.
set -eu
build=$1
export PYTHONHASHSEED=0 PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$build/source
export BENCH_CACHE=/opt/bench BENCH_OFFLINE=1 BENCH_PACKAGES=$build/tools
/opt/bench/venv/bin/python -m bench.containers.tools
chmod -R a+rX /opt/bench/tools
rm -rf /tmp/*
