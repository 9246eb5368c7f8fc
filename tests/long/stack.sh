#!/bin/bash
# stack.sh - the same as in check, with a storm of STRESS_SECONDS (default 300).
STACK_SECONDS=${STRESS_SECONDS:-300} exec bash "$(dirname "$0")/../e2e/stack.sh"
