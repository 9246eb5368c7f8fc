#!/bin/bash
# The language's own commands: check, explain, fmt, list, and their pages.
. "$(dirname "$0")/lib.sh"
LIBRARY=$ROOT/scenarios/library

same() { # FILE COMMAND… - its output is the file
	local file=$1
	shift
	"$@" >"$T/.now" && diff -u "$file" "$T/.now"
}
for page in scenarios calls faults; do
	it "docs/${page^^}.md is what the program prints" \
		same "$ROOT/docs/${page^^}.md" "$MISHAP" list --docs $page
done
it "docs/scenario-1.schema.json is what the program prints" \
	same "$ROOT/docs/scenario-1.schema.json" "$MISHAP" check --schema
it "that comparison bites" exits 1 \
	same "$ROOT/docs/CALLS.md" "$MISHAP" list --docs faults

it "every shipped scenario is good" "$MISHAP" check "$LIBRARY"/*.yaml
it "check says how much a file holds" says \
	'slow-disk.yaml: ok, 1 rule, 3 expectations' \
	"$MISHAP" check "$LIBRARY/slow-disk.yaml"
it "check -q says nothing of good files" test -z \
	"$("$MISHAP" check -q "$LIBRARY"/*.yaml 2>&1)"
echo 'version: 1' >bad.yaml
it "one bad file among good ones is exit 2" exits 2 \
	"$MISHAP" check "$LIBRARY/bit-rot.yaml" bad.yaml
checked() {
	"$MISHAP" check --json - "$LIBRARY/bit-rot.yaml" bad.yaml 2>/dev/null \
		>"$T/check.json"
	jq -e '(.ok | not) and (.files | length == 2 and .[0].ok
		and (.[1].ok | not) and (.[1].messages | contains("bad.yaml")))' "$T/check.json"
}
it "check --json tells machines the same" checked
it "a rule is checked without a file" exits 0 \
	"$MISHAP" check -f 'write fail=ENOSPC nth=2'
it "a wrong rule is exit 2" exits 2 "$MISHAP" check -f 'write fail=ENOSPK'
it "a misspelt option is answered with the right one" \
	says "did you mean '--schema'" "$MISHAP" check --shcema

if /usr/bin/python3 -c 'import jsonschema, yaml' 2>/dev/null; then
	cat >schema.py <<'PY'
import glob, json, sys
import jsonschema, yaml
schema = json.load(open(sys.argv[1]))
jsonschema.Draft7Validator.check_schema(schema)
judge = jsonschema.Draft7Validator(schema)
for path in glob.glob(sys.argv[2] + "/*.yaml"):
    judge.validate(yaml.safe_load(open(path)))
wrong = yaml.safe_load("""
- {version: 2, name: x, target: {run: [a]}}
- {version: 1, name: x, target: {run: [a]}, fautls: []}
- {version: 1, name: x, target: {run: [a], timeout: soon}}
- {version: 1, target: {run: [a]}}
- {version: 1, name: x, target: {run: [a], restart: always}}
""")
for scenario in wrong:
    if judge.is_valid(scenario):
        sys.exit("the schema takes %r" % scenario)
PY
	it "the schema takes every shipped scenario and refuses five bad ones" \
		/usr/bin/python3 schema.py "$ROOT/docs/scenario-1.schema.json" \
		"$LIBRARY"
else
	skip "the schema takes every shipped scenario" \
		"python3-jsonschema is not installed"
fi

explained() { # every scenario, at most 80 columns
	local f
	for f in "$LIBRARY"/*.yaml; do
		"$MISHAP" explain "$f" >"$T/.explain" || return 1
		grep -q '^PASS, if' "$T/.explain" || return 1
		! LC_ALL=C.UTF-8 grep -E '.{81}' "$T/.explain" || return 1
	done
}
it "every shipped scenario is explained" explained
it "an errno is said in words" says 'ENOSPC \(No space left on device\)' \
	"$MISHAP" explain -f 'write fail=ENOSPC nth=2+'
it "a rule that never acts is named" says 'Rule 2 never acts' \
	"$MISHAP" explain -f 'write fail=EIO' -f 'write path=x fail=ENOSPC'

formatted() { # fmt is idempotent, and what it prints says the same
	local f
	for f in "$LIBRARY"/*.yaml; do
		"$MISHAP" fmt "$f" >"$T/once.yaml" &&
			"$MISHAP" fmt "$T/once.yaml" | cmp - "$T/once.yaml" &&
			"$MISHAP" check -q "$T/once.yaml" || return 1
		diff <("$MISHAP" explain "$f" | sed 's/line [0-9]*/line/') \
			<("$MISHAP" explain "$T/once.yaml" |
				sed 's/line [0-9]*/line/') || return 1
		diff <(grep -o '#.*' "$f" | sort) \
			<(grep -o '#.*' "$T/once.yaml" | sort) || return 1
	done
}
it "fmt keeps what every shipped scenario says, comments too" formatted
printf 'name: x\nversion: 1\ntarget: {run: [a]}\n' >ugly.yaml
chmod 640 ugly.yaml
it "fmt -c names a file that would change" exits 1 "$MISHAP" fmt -c ugly.yaml
in_place() {
	"$MISHAP" fmt -w ugly.yaml && head -n 1 ugly.yaml | grep -qx 'version: 1' &&
		[ "$(stat -c %a ugly.yaml)" = 640 ] && "$MISHAP" fmt -c ugly.yaml &&
		[ "$(find . -name 'ugly*' | wc -l)" = 1 ]
}
it "fmt -w writes in place, keeps the mode, leaves nothing behind" in_place
one_liner() {
	"$MISHAP" fmt -f 'write path=**/out fail=ENOSPC nth=2' --expect 'exit!=0' \
		-- sort -o out in >one.yaml && "$MISHAP" check one.yaml &&
		grep -q 'write path=\*\*/out fail=ENOSPC nth=2' one.yaml
}
it "a one-liner becomes a file" one_liner
kept_variables() {
	"$MISHAP" fmt -f 'recv peer=127.0.0.1:${port} eof' -- sh -c \
		'./server ${port} ${HOME}' >vars.yaml && "$MISHAP" check vars.yaml &&
		grep -q 'peer=127.0.0.1:${port}' vars.yaml &&
		grep -qF '${port} $${HOME}' vars.yaml
}
it "its variables stay, and a shell's own stay the shell's" kept_variables

it "list calls names the source of an errno" \
	says 'ECONNRESET \(POSIX.1-2017 recv\(\)\)' "$MISHAP" list calls recv
it "an unknown call is answered with the right one" \
	says "did you mean 'fsync'" "$MISHAP" list calls fsnyc
listed() {
	local what
	for what in calls families faults expectations scenarios; do
		"$MISHAP" list $what >"$T/.list" || return 1
		# a path may be as long as it is; nothing ends in a blank
		! grep -v '^  /' "$T/.list" |
			LC_ALL=C.UTF-8 grep -E '.{81}| $' || return 1
		"$MISHAP" list --json - $what | jq -e ".$what | length > 5" || return 1
	done
}
it "every list fits 80 columns, and machines can read it" listed
it "list of nothing is exit 2" exits 2 "$MISHAP" list
for c in check explain fmt list; do
	it "$c --help teaches with examples" says '^examples:' "$MISHAP" $c --help
done
