# What jobs share; sourced from the repository's root. Knows where builds go, which test programs there are, and how tools
# are installed.

host=$(rustc -vV | sed -n 's/^host: //p')
# Each kind of build has a folder of its own below it.
target=${CARGO_TARGET_DIR:-target}

# The arguments for cargo that name all test programs of the core but those given.
core_tests() {
    local file name
    echo --lib
    for name in "$@"; do
        # A test that was renamed shall not be left out, or run, unseen.
        [[ -f crates/framealloc-core/tests/$name.rs ]] || { echo "no test program '$name' to leave out" >&2; return 1; }
    done
    for file in crates/framealloc-core/tests/*.rs; do
        name=$(basename "$file" .rs)
        case " $* " in
        *" $name "*) ;;
        *) echo "--test $name" ;;
        esac
    done
}

# Installs packages, as root or through sudo.
install() {
    local root=()
    ((EUID == 0)) || root=(sudo)
    "${root[@]}" apt-get update
    "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "$@"
}

# Installs those of the tools that are missing.
need() {
    local tool missing=()
    for tool in "$@"; do
        command -v "$tool" >/dev/null || missing+=("$tool")
    done
    ((${#missing[@]} == 0)) || install "${missing[@]}"
}
