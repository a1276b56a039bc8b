# Sourced first by every script of this folder, each of which can be run alone, from any folder.
#
# Everything happens in a copy of the files that git knows or would add, with environments that are
# made anew. Copy and environments are shared by the scripts of one `.ci/run` and go when it ends;
# a script that is run alone makes its own. Nothing is left behind but what pip caches.
#
#   PYTHON   the Python to make them with, python3 where unset
#   CI       set by every CI service; as root, it lets .ci/extras install a browser
set -euo pipefail
exec </dev/null

python=${PYTHON:-python3}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
  echo "$python is older than 3.11, or isn't there: set PYTHON"
  exit 1
}
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 PIP_QUIET=1
# Modules are compiled when they are first imported: most of what is installed never is.
export PIP_NO_COMPILE=1
unset PYTHONDONTWRITEBYTECODE
unset PYTHONPATH PYTHONHOME PYTEST_ADDOPTS PYTEST_PLUGINS VIRTUAL_ENV COVERAGE_PROCESS_START

checkout() { # fill $GRADCHECK_CI with the copy, and the time of its last commit
  local top
  top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
  # Root may not read the clone of somebody else otherwise.
  local git=(git -C "$top" -c safe.directory='*')
  mkdir "$GRADCHECK_CI/checkout"
  # A file that is deleted and not yet committed is listed, and not there.
  "${git[@]}" ls-files -z --cached --others --exclude-standard |
    while IFS= read -r -d '' file; do
      [ ! -e "$top/$file" ] || printf '%s\0' "$file"
    done >"$GRADCHECK_CI/files"
  tar -C "$top" --null -T "$GRADCHECK_CI/files" -cf - | tar -C "$GRADCHECK_CI/checkout" -xf -
  "${git[@]}" log -1 --format=%ct >"$GRADCHECK_CI/epoch"
  git -C "$GRADCHECK_CI/checkout" init -q
  git -C "$GRADCHECK_CI/checkout" add -A
}

if [ -z "${GRADCHECK_CI:-}" ]; then
  GRADCHECK_CI=$(mktemp -d)
  export GRADCHECK_CI
  trap 'rm -rf "$GRADCHECK_CI"' EXIT
  checkout
  mkdir "$GRADCHECK_CI/tmp"
fi
# pytest keeps the folders of its last runs, and matplotlib a list of fonts.
export TMPDIR=$GRADCHECK_CI/tmp MPLCONFIGDIR=$GRADCHECK_CI/tmp/matplotlib
work=$GRADCHECK_CI
cd "$work/checkout"

fail() {
  echo "FAILED: $*"
  exit 1
}

inside() { # name command...: run a command as after `. name/bin/activate`
  local name=$1
  shift
  VIRTUAL_ENV=$work/$name PATH=$work/$name/bin:$PATH "$@"
}

empty() { # name [python]: an empty virtual environment, whatever was there before
  "${2:-$python}" -m venv --clear "$work/$1"
}

environment() { # name [pip's arguments]: an environment that has this, made once in a run
  local name=$1
  shift
  [ -d "$work/$name" ] || empty "$name"
  if [ "$(cat "$work/$name/installed" 2>/dev/null)" != "$*" ]; then
    inside "$name" python -m pip install "$@"
    echo "$*" >"$work/$name/installed"
  fi
}

plain() { # run a command where '.[test]' alone is installed: in the README's environment, if it is new
  local name=readme
  if [ ! -d "$work/readme" ] || [ -e "$work/readme/installed" ]; then
    name=plain
    environment plain -e '.[test]'
  fi
  inside "$name" "$@"
}

development() { environment readme -e '.[dev]'; }

quietly() { # command...: show what it says only if it fails
  "$@" >"$work/log" 2>&1 || {
    local status=$?
    cat "$work/log"
    return "$status"
  }
}

measured() { # name [pytest's arguments]: run tests, and keep what they reach for .ci/coverage
  mkdir -p "$work/measured"
  COVERAGE_FILE=$work/measured/data inside "$1" python -m coverage run -m pytest -q -n auto "${@:2}"
  touch "$work/measured.$(basename "$0")"
}
