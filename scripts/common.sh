# SPDX-License-Identifier: Apache-2.0
# Shared by the scripts beside it, which source it from the project's root folder. It gets what a fresh Debian or Ubuntu
# machine lacks: distribution packages through apt where that is allowed, Python packages into build/python only.
# shellcheck shell=sh

# shellcheck disable=SC2034  # used by the scripts that source this
# Version ranges that the project is tested with. ONNX Runtime is loaded by the program, onnx checks its output.
RUNTIME_REQUIREMENTS="onnxruntime>=1.19,<1.32"
# shellcheck disable=SC2034
TEST_REQUIREMENTS="numpy>=1.24,<3 onnx>=1.18,<1.24 jsonschema>=4.17,<5"

PYTHON_ENV=build/python

say()
{
    printf '== %s\n' "$*" >&2
}

die()
{
    printf 'error: %s\n' "$*" >&2
    exit 1
}

have()
{
    command -v "$1" >/dev/null 2>&1
}

# One setup at a time in this checkout; the lock goes with the process.
lock_setup()
{
    mkdir -p build
    if have flock; then
        exec 9>build/.setup.lock
        flock 9
    fi
}

unlock_setup()
{
    exec 9>&-
}

cmake_is_recent()
{
    have cmake || return 1
    cmake_version=$(cmake --version | sed -n '1s/[^0-9]*\([0-9]*\)\.\([0-9]*\).*/\1 \2/p')
    # shellcheck disable=SC2086
    set -- $cmake_version
    [ "$1" -gt 3 ] || { [ "$1" -eq 3 ] && [ "$2" -ge 21 ]; }
}

compiles()
{
    compiles_folder=$(mktemp -d)
    compiles_status=0
    printf '%s\n' "$2" >"$compiles_folder/probe.$1"
    shift 2
    (cd "$compiles_folder" && "$@" -o probe) >/dev/null 2>&1 || compiles_status=1
    rm -rf "$compiles_folder"
    return $compiles_status
}

PROGRAM='int main(void) { return 0; }'
FUZZER='#include <stddef.h>
#include <stdint.h>
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) { (void)data; (void)size; return 0; }'

# Is what a package is wanted for here already, from whatever source?
provided()
{
    case $1 in
        cmake) cmake_is_recent ;;
        ninja-build) have ninja ;;
        gcc) compiles c "$PROGRAM" cc probe.c ;;
        g++) compiles cc "$PROGRAM" c++ probe.cc ;;
        clang) have clang ;;
        libclang-rt-*) compiles c "$FUZZER" clang -fsanitize=fuzzer,address,undefined probe.c ;;
        pkg-config) have pkg-config ;;
        protobuf-c-compiler) have protoc-c ;;
        python3) have python3 ;;
        binutils) have nm ;;
        man-db) have man ;;
        make | file | doxygen) have "$1" ;;
        dpkg-dev) have dpkg-shlibdeps ;;
        libopenmpi-dev) have mpicc && have mpiexec ;; # any MPI will do
        python3-venv) python3 -c 'import ensurepip' ;;
        zsh | fish) have "$1" ;;
        libprotobuf-c-dev) pkg-config --exists libprotobuf-c ;;
        libjansson-dev) pkg-config --exists jansson ;;
        libzip-dev) pkg-config --exists libzip ;;
        libxxhash-dev) pkg-config --exists libxxhash ;;
        libssl-dev) pkg-config --exists libcrypto ;;
        libjpeg-dev) pkg-config --exists libjpeg ;;
        libpng-dev) pkg-config --exists libpng ;;
        libcmocka-dev) pkg-config --exists cmocka ;;
        *) dpkg-query -W -f '${Status}' "$1" 2>/dev/null | grep -q 'ok installed' ;;
    esac
}

missing_packages()
{
    for package in "$@"; do
        provided "$package" 2>/dev/null || printf '%s ' "$package"
    done
}

# Sets as_root to what apt needs in front of it; fails where this script may not install.
find_root()
{
    as_root=
    have apt-get || return 1
    [ "$(id -u)" = 0 ] && return 0
    as_root="sudo -n"
    have sudo && sudo -n true 2>/dev/null
}

install_packages()
{
    say "installing through apt: $*"
    # Another process may hold apt's lists, which no timeout option covers.
    attempt=1
    until $as_root apt-get -q -o DPkg::Lock::Timeout=300 update >build/apt.log 2>&1; do
        if [ $attempt -ge 10 ] || ! grep -q 'lock' build/apt.log; then break; fi
        attempt=$((attempt + 1))
        sleep 5
    done
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 install \
        --no-install-recommends "$@" >>build/apt.log 2>&1 </dev/null
}

# need_packages NAME...: Debian names. Installs those that are missing, or says which command would.
need_packages()
{
    # pkg-config is what the libraries are probed with, so without it all of them look missing, which apt puts right.
    missing=$(missing_packages "$@")
    [ -n "$missing" ] || return 0
    advice="missing: ${missing}- install them first (on Debian or Ubuntu: apt-get install ${missing% })"
    find_root || die "$advice; this script may not: it needs apt, and root or password-less sudo"
    # shellcheck disable=SC2086
    install_packages $missing || {
        tail -n 15 build/apt.log >&2
        die "apt-get install failed; $advice"
    }
    missing=$(missing_packages "$@")
    [ -z "$missing" ] || die "still missing after apt-get install: $missing"
}

# want_packages NAME...: the same for what can be done without.
want_packages()
{
    missing=$(missing_packages "$@")
    [ -n "$missing" ] || return 0
    # shellcheck disable=SC2086
    if ! find_root || ! install_packages $missing; then say "going on without: $missing"; fi
}

python_is_recent()
{
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 9))' 2>/dev/null
}

# clang's sanitizer and fuzzer runtimes are a package of their own, named after clang's version, where they are not in clang's.
need_fuzzer()
{
    need_packages clang
    need_packages "libclang-rt-$(clang -dumpversion | sed 's/\..*//')-dev"
}

make_python_env()
{
    rm -rf "$PYTHON_ENV"
    python3 -m venv "$PYTHON_ENV" >build/python.log 2>&1 && return 0
    # Debian and Ubuntu keep ensurepip in a package of their own; pip from outside can fill an empty environment as well.
    if python3 -m pip --version >/dev/null 2>&1; then
        rm -rf "$PYTHON_ENV"
        python3 -m venv --without-pip "$PYTHON_ENV" >>build/python.log 2>&1 && return 0
    fi
    need_packages python3-venv
    rm -rf "$PYTHON_ENV"
    python3 -m venv "$PYTHON_ENV" >>build/python.log 2>&1 || {
        tail -n 15 build/python.log >&2
        die "could not make a Python environment in $PYTHON_ENV"
    }
}

pip_install()
{
    if "$PYTHON_ENV/bin/python" -m pip --version >/dev/null 2>&1; then
        "$PYTHON_ENV/bin/python" -m pip install "$@"
    else
        python3 -m pip install --upgrade \
            --target "$("$PYTHON_ENV/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" "$@"
    fi
}

# need_python REQUIREMENT...: into build/python, nothing outside of it. A mark with the Python version and the requirements
# makes the second run quick; an environment made for more than is asked for serves as well.
need_python()
{
    python_is_recent || die "python3 is older than 3.9"
    version=$(python3 -c 'import sys; print(sys.version.split()[0], sys.prefix)')
    mark="$version $*"
    ready=$(cat "$PYTHON_ENV/.ready" 2>/dev/null) || ready=
    case "$ready " in "$mark "*) return 0 ;; esac
    say "getting from pip into $PYTHON_ENV: $*"
    case "$ready" in
        "$version "*) rm "$PYTHON_ENV/.ready" ;;
        *) make_python_env ;;
    esac
    pip_install --quiet --disable-pip-version-check --only-binary=:all: "$@" >>build/python.log 2>&1 || {
        tail -n 15 build/python.log >&2
        die "pip could not get: $* (the whole log: build/python.log)"
    }
    printf '%s\n' "$mark" >"$PYTHON_ENV/.ready"
}

# The ONNX Runtime library in build/python; its file name carries the version.
ort_library()
{
    for library in "$PYTHON_ENV"/lib*/python3*/site-packages/onnxruntime/capi/libonnxruntime.so*; do
        if [ -f "$library" ]; then
            printf '%s\n' "$PWD/$library"
            return 0
        fi
    done
    die "no libonnxruntime.so in $PYTHON_ENV"
}

cores()
{
    nproc 2>/dev/null || echo 2
}
