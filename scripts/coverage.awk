# Adds up a trace of llvm-cov (lcov format): lines and branches reached, by file, and what was not.

function share(reached, all) {
    return all == 0 ? "100.0" : sprintf("%.1f", 100 * reached / all)
}

# The line at which the file's own tests begin.
function tests_of(file,    line, number, before) {
    while ((getline line < file) > 0) {
        number++
        if (before == "#[cfg(test)]" && line ~ /^(pub\(crate\) )?mod [a-z]+ \{/) {
            close(file)
            return number
        }
        before = line
    }
    close(file)
    return number + 1
}

/^SF:/ {
    file = substr($0, 4)
    sub(/.*core\/src\//, "core/src/", file)
    end = tests_of(file)
    lines = reached = branches = taken = 0
    missed = halves = ""
}

/^DA:/ {
    split(substr($0, 4), field, ",")
    if (field[1] + 0 >= end) next
    lines++
    if (field[2] > 0) reached++
    else missed = missed " " field[1]
}

/^BRDA:/ {
    split(substr($0, 6), field, ",")
    if (field[1] + 0 >= end) next
    branches++
    if (field[4] != "-" && field[4] > 0) taken++
    else halves = halves " " field[1]
}

/^end_of_record/ {
    printf "%-32s lines %4d of %4d %5s %%   branches %3d of %3d %5s %%\n", file, reached, lines, \
        share(reached, lines), taken, branches, share(taken, branches)
    if (missed != "") print "    lines not reached:" missed
    if (halves != "") print "    branches not taken at:" halves
    all_lines += lines; all_reached += reached
    all_branches += branches; all_taken += taken
}

END {
    printf "%-32s lines %4d of %4d %5s %%   branches %3d of %3d %5s %%\n", "the core", all_reached, \
        all_lines, share(all_reached, all_lines), all_taken, all_branches, \
        share(all_taken, all_branches)
    exit share(all_reached, all_lines) < least || share(all_taken, all_branches) < least
}
