# From llvm-cov's lcov export: a table of covered lines by file, tests left out, the lines that nothing ran, and the sums.
# Fails if less than `least` per cent of the lines in files with unsafe code were run.

function begin(path,   text, number, cut) {
    file = path
    sub(/.*crates\/framealloc-core\/src\//, "", file)
    # Tests, and doubles for tests.
    skip = file ~ /(^|\/)tests(\.rs|\/)/ || file ~ /scripted\.rs$/
    unsafe = 0
    cut = number = 0
    while ((getline text < path) > 0) {
        number++
        # From here on the file is its tests.
        if (text ~ /^#\[cfg\((all\()?test/) {
            tests_next = number
        }
        if (text ~ /^mod [a-z_]+ \{/ && tests_next == number - 1 && !cut) {
            cut = tests_next
        }
        if (!cut && text ~ /unsafe (\{|fn|impl)/ && text !~ /^ *\/\//) {
            unsafe = 1
        }
    }
    close(path)
    end = cut ? cut : number + 1
    all = hit = 0
    missed = ""
    first = last = 0
}

function run(line) {
    if (last && line == last + 1) {
        last = line
        return
    }
    flush_run()
    first = last = line
}

function flush_run() {
    if (first) {
        missed = missed " " (first == last ? first : first "-" last)
    }
    first = last = 0
}

BEGIN {
    printf "%-28s %6s %7s  %s\n", "module", "lines", "run", ""
}

/^SF:/ {
    begin(substr($0, 4))
}

/^DA:/ && !skip {
    split(substr($0, 4), at, ",")
    if (at[1] < end) {
        all++
        if (at[2] > 0) {
            hit++
        } else {
            run(at[1])
        }
    }
}

/^end_of_record/ && !skip && all {
    flush_run()
    printf "%-28s %6d %6.1f%%  %s\n", file, all, 100 * hit / all, unsafe ? "unsafe" : ""
    if (missed != "" && (unsafe || lines == "all")) {
        gaps = gaps file ":" missed "\n"
    }
    total += all
    total_hit += hit
    if (unsafe) {
        unsafe_total += all
        unsafe_hit += hit
    }
}

END {
    if (!unsafe_total) {
        print "no lines were counted" > "/dev/stderr"
        exit 1
    }
    printf "\nlines that no test runs:\n%s\n", gaps
    percent = 100 * unsafe_hit / unsafe_total
    printf "modules with unsafe: %d of %d lines, %.1f %%\n", unsafe_hit, unsafe_total, percent
    printf "the whole core:      %d of %d lines, %.1f %%\n", total_hit, total, 100 * total_hit / total
    if (percent < least) {
        printf "less than %s %% of the lines in modules with unsafe are run by a test\n", least > "/dev/stderr"
        exit 1
    }
}
