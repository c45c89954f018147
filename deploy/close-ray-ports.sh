#!/bin/sh
# Closes Ray's ports to every other machine. Run as root, before `fillgate up`, at each boot:
#
#     deploy/close-ray-ports.sh FIRST_PORT
#
# FIRST_PORT is `first_port` in fillgate.toml, [ray]; Ray uses it and the next 199. One machine alone
# needs no rule: Ray listens on its loopback. Of several, accept the others by a rule before this
# one: iptables -I INPUT -s OTHER -j ACCEPT. Twice does no harm.
set -eu
first=${1:?"which port? see [ray] first_port in fillgate.toml"}
last=$((first + 199))
for tables in iptables ip6tables; do
  rule="INPUT ! -i lo -p tcp --dport $first:$last -j DROP"
  # shellcheck disable=SC2086 # words, not one
  $tables -C $rule 2>/dev/null || $tables -I $rule
done
