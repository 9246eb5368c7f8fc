#!/bin/bash
# late.sh - the same as in check, with a storm of STRESS_SECONDS (default 240).
STORM_SECONDS=${STRESS_SECONDS:-240} exec bash "$(dirname "$0")/../e2e/late.sh"
