#!/bin/sh
# An objective in another language: any program that prints JSON lines. Here awk looks for
# the minimum of (x - 2)^2 + (y + 1)^2 by gradient descent with momentum.
#
#   distune master --space examples/command.json --workers 2 --allow-commands
#
# Run it by hand to see what distune reads:  examples/train.sh --lr 0.1 --momentum 0.5
set -eu
while [ $# -gt 0 ]; do
  case $1 in
    --lr) lr=$2 ;;
    --momentum) momentum=$2 ;;
    *) echo "unknown option $1" >&2; exit 2 ;;
  esac
  shift 2
done
exec awk -v lr="$lr" -v momentum="$momentum" 'BEGIN {
  x = -3; y = 4; vx = 0; vy = 0
  for (step = 1; step <= 20; step++) {
    vx = momentum * vx - lr * 2 * (x - 2); x += vx
    vy = momentum * vy - lr * 2 * (y + 1); y += vy
    printf "{\"loss\": %.6g, \"step\": %d}\n", (x - 2) ^ 2 + (y + 1) ^ 2, step
  }
}'
