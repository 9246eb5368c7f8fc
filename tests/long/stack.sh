#!/bin/bash
# stack.sh - the same as in check, with a storm of five minutes.
STACK_SECONDS=300 exec bash "$(dirname "$0")/../e2e/stack.sh"
