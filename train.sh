#!/usr/bin/env bash
# bash train.sh 0,1 configs/single_domain.yml [key=value ...]
# One process per device named (0 | 0,1 | cpu | cpu,cpu); several machines: see engine/launch.py.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
python=$here/.venv/bin/python
[ -x "$python" ] || python=python3
exec "$python" "$here/train.py" "$@"
