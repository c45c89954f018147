#!/usr/bin/env bash
# Prints the fastest Python 3.11 here that can make a virtual environment.
# One built with profile-guided optimization, as distributions build theirs, takes a quarter to a
# third less time for each order than one built without, and no build says which it is.
set -euo pipefail

loop='
import ensurepip, sys, time
if sys.version_info[:2] != (3, 11): sys.exit(1)
def work():
    rows = {}
    for n in range(20_000):
        rows[n % 100] = (n, rows.get(n % 97))
        if len(rows) > 90: rows = {}
best = 1e9
for _ in range(7):
    start = time.process_time_ns(); work(); best = min(best, time.process_time_ns() - start)
print(best // 1000)
'
fastest='' least=''
for python in python3.11 /usr/bin/python3.11 /usr/local/bin/python3.11; do
  us=$("$python" -c "$loop" 2>/dev/null) || continue
  # The first one keeps its place against what is only a little faster.
  if [[ -z $least ]] || ((us * 100 < least * 88)); then
    fastest=$(command -v "$python") least=$us
  fi
done
[[ -n $fastest ]] && echo "$fastest" || command -v python3.11 || command -v python3
