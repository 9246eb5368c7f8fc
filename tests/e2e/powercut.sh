#!/bin/bash
# powercut.sh - careful stores pass, careless ones are found, with the barrier
# that is missing; what can't be judged isn't.
. "$(dirname "$0")/lib.sh"
chmod 777 "$T"

cut() { # STORE HOW CODE -> $T/STORE.HOW.json
	rm -rf data
	mkdir -m 777 data
	exits "$3" timeout 100 "$MISHAP" powercut -q --tree data --budget 30s \
		--json "$1.$2.json" --check-server "$TARGETS/cut_store serve" -- \
		"$TARGETS/cut_store" "$1" "$2" data 3
}
found() { # STORE JQ
	jq -e "$2" "$1.careless.json" >/dev/null || {
		jq -c '.models[].classes, .findings[].barrier' "$1.careless.json"
		return 1
	}
}
for store in append replace wal mapped; do
	it "$store, careful: clean under all five models" cut $store careful 0
	it "$store, careless: found" cut $store careless 1
	it "$store, careless: every model loses what was acknowledged" found $store \
		'[.models[] | select(.classes.lost > 0)] | length == 5'
done
it "the log of all was sound" jq -se 'all(.sound and .ops > 0 and .acks > 0)' \
	append.careful.json replace.careful.json wal.careful.json mapped.careful.json
it "append: the fsync before the acknowledgement is named" found append \
	'.models.xfs.barriers | length == 1 and
	.[0].barrier == "fsync(log) before the acknowledgement" and
	.[0].after == 0'
it "replace: the file before the rename, the directory before the promise" \
	found replace '.models | map(.barriers | map(.barrier)) | all(. ==
	["fsync(value.tmp) before rename(value.tmp -> value)",
	"fsync(directory .) before the acknowledgement"])'
it "replace: the call is named, with its line" jq -e \
	'[.findings[] | select(.class == "corrupt")] | length > 0 and
	all(.source | test("cut_store.c:[0-9]+"))' replace.careless.json
it "replace: nothing bad is left with both" found replace \
	'.models | map(.barriers[-1].after == 0) | all'
it "wal: the log before the data" found wal \
	'.models.xfs.barriers[-1].after == 0 and .models.xfs.classes.inconsistent > 0'
show() {
	local id
	id=$(jq -r '.findings[0].replay' replace.careless.json)
	# shellcheck disable=SC2086
	set -- $id
	"$MISHAP" powercut --show "$4" --into bad && [ -d bad ] &&
		exits 2 "$MISHAP" powercut --show "$4" --into bad
}
it "the replay command leaves the bad tree in a folder" show

# ---- without a checker -----------------------------------------------------
cat >save.sh <<'END'
echo new >etc/f.tmp && mv etc/f.tmp etc/f
END
cat >synced.sh <<'END'
echo new >etc/f.tmp && sync etc/f.tmp && mv etc/f.tmp etc/f
END
builtin() { # SCRIPT CODE
	rm -rf etc
	mkdir -m 777 etc
	echo old >etc/f
	chmod 666 etc/f
	exits "$2" timeout 60 "$MISHAP" powercut -q --tree etc --budget 10s \
		--json builtin.json -- sh "$1"
}
it "without a checker: an unsynced rename is found" builtin save.sh 1
it "on xfs the file is empty, on ext4-ordered it is whole" jq -e \
	'([.findings[] | select(.model == "xfs")][0].says == "f is empty") and
	.models["ext4-ordered"].bad == 0' builtin.json
it "without a checker: a synced one is clean" builtin synced.sh 0
it "the real tree stays as it was" grep -qx old etc/f

# ---- real programs ---------------------------------------------------------
gc() { # WANTED-EXIT GIT-OPTION...
	local want=$1
	shift
	rm -rf repo
	git init -q repo && (cd repo && git config user.email a@b &&
		git config user.name n && git config gc.auto 0 &&
		for i in 1 2; do
			echo $i >f && git add f && git commit -qm c$i && git branch b$i
		done) || return 1
	chmod -R a+rwX repo
	exits "$want" timeout 120 "$MISHAP" powercut -q --tree repo --fs ext4-ordered \
		--fs xfs --budget 30s --states 150 --json gc.json \
		--check 'test 3 = $(git -c safe.directory=* -C repo for-each-ref |
			wc -l)' -- git -c safe.directory='*' "$@" -C repo gc -q
}
export GIT_CONFIG_GLOBAL=/dev/null
with git it "git gc: all branches may be gone" gc 1
with git it "git gc: the fsync of packed-refs is what is missing" jq -e \
	'.models | map(.barriers[0].barrier | test(
	"^fsync\\(.git/packed-refs.new\\) before rename")) | all' gc.json
with git it "git gc with core.fsync=all is clean" gc 0 -c core.fsync=all

cat >rows.py <<'END'
import sqlite3, sys
c = sqlite3.connect("sq/db", isolation_level=None)
c.execute("pragma journal_mode=delete")
c.execute("pragma synchronous=" + sys.argv[1])
for i in (1, 2):
    c.execute("insert into r values(?)", (i,))
    print("ack r", i, flush=True)
END
sqlite() { # SYNCHRONOUS CODE
	rm -rf sq
	mkdir -m 777 sq
	sqlite3 sq/db 'create table r(id integer)'
	chmod 666 sq/db
	exits "$2" timeout 120 "$MISHAP" powercut -q --tree sq --fs ext4-ordered \
		--budget 40s --json sq.json --check "sqlite3 sq/db \
		'select \"present r \" || id from r' 'select \"done\"'" -- \
		python3 rows.py "$1"
}
with sqlite3 it "sqlite, synchronous=FULL: an acknowledged row rolls back" \
	sqlite full 1
with sqlite3 it "sqlite: the directory isn't synced when the journal goes" jq -e \
	'.models["ext4-ordered"].barriers[0].barrier ==
	"fsync(directory .) before the acknowledgement"' sq.json
with sqlite3 it "sqlite, synchronous=EXTRA is clean" sqlite extra 0

# ---- what can't be judged ---------------------------------------------------
inconclusive() { # WORDS COMMAND...
	local words=$1
	shift
	rm -rf data
	mkdir -m 777 data
	exits 3 timeout 60 "$MISHAP" powercut --tree data --budget 10s "$@" >page &&
		grep -q "$words" page
}
it "a checker that passes everything proves nothing" inconclusive \
	'it proves nothing' --check true -- sh -c 'echo x >data/f'
it "a checker that is never content is no oracle" inconclusive \
	"isn't content with the tree" --check false -- sh -c 'echo x >data/f'
it "a program that changes nothing shows nothing" inconclusive \
	'changed nothing' -- true
it "acknowledgements that nobody checks are said" inconclusive \
	'prints no' --fs xfs --check 'test -s data/f' -- sh -c \
	'echo x >data/f; sync data/f data; echo ack s 1'
it "a program that fails is no proof" inconclusive 'ended with exit status 7' \
	--fs xfs -- sh -c 'echo x >data/f; exit 7'
it "a shard judges its part" bash -c '
	mkdir -p -m 777 data; timeout 60 "$1" powercut -q --tree data --budget 10s \
		--shard 1/2 --json a.json --fs posix-min --check-server "$2 serve" -- \
		"$2" append careless data 3; timeout 60 "$1" powercut -q --tree data \
		--budget 10s --shard 2/2 --json b.json --fs posix-min \
		--check-server "$2 serve" -- "$2" append careless data 3
	jq -se "(map(.models[].judged) | add) == .[0].models[].states and
		all(.models[].judged < .models[].states)" a.json b.json
	' - "$MISHAP" "$TARGETS/cut_store"

# ---- the command -----------------------------------------------------------
it "a wrong model is named" bash -c '
	! "$1" powercut --fs ext5 -- true 2>words && grep -q "no model .ext5" words' \
	- "$MISHAP"
it "no command: usage" exits 2 "$MISHAP" powercut
it "no such program: usage" exits 2 "$MISHAP" powercut --tree data -- ./nothing
it "the whole system is no tree" exits 2 "$MISHAP" powercut --tree / -- true
interrupted() {
	rm -rf data runs2
	mkdir -m 777 data
	timeout -s INT 3 "$MISHAP" powercut --tree data --run-dir runs2 -- \
		sleep 60 >page 2>&1
	[ -z "$(ls runs2)" ] && ! pgrep -f "^sleep 60$" >/dev/null
}
it "Ctrl-C while it records leaves nothing" interrupted
it "docs/JSON.md knows every key" bash -c '
	page=$(sed -n "/^## Power cut/,/^## Doctor/p" "$1/docs/JSON.md")
	for key in $(jq -r "del(.models, .argv) | [.. | objects | keys[]] | unique[]" \
		replace.careless.json) $(jq -r ".models[] | keys[], (.classes | keys[])" \
		replace.careless.json); do
		grep -qE -- "\`$key\`|[{ ]$key[,}]" <<<"$page" || { echo "$key"; exit 1; }
	done' - "$ROOT"
