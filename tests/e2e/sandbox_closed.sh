#!/bin/bash
# A working directory that only root can reach (/root is 0700) works in the
# sandbox, whose user is somebody else; the rest of /root is not seen there.
. "$(dirname "$0")/lib.sh"
if [ "$(id -u)" != 0 ]; then
	skip "a directory below a closed one" "needs root"
	exit
fi
C=$(mktemp -d /var/lib/mishap-e2e.XXXXXX)
trap 'rm -rf "$C"; finish; exit $?' EXIT
mkdir -p "$C/work" "$C/tools"
echo hidden >"$C/beside"
seq 20000 >"$C/work/in"
cp /usr/bin/sort "$C/tools/mysort"
chmod 700 "$C"
inside() (
	cd "$C/work" && "$MISHAP" run --run-dir "$T/runs" --sandbox "$@"
)
it "a target runs there, and its files are found" exits 0 inside \
	-f 'write path=**/out fail=ENOSPC nth=2' --expect 'exit!=0' \
	--expect 'stderr~"No space"' -- sort -o out in
it "a program named by its whole path is there too" exits 0 inside \
	-f 'write path=**/out fail=ENOSPC nth=2' --expect 'exit!=0' -- \
	"$C/tools/mysort" -o out in
it "what nobody named is not" exits 0 inside -f 'write fd=1 delay=1ms' \
	--expect 'stdout~"^in$"' --expect 'stdout!~beside' -- \
	sh -c 'ls; ls ..; ls ../..'
it "the real files stay as they were" test ! -e "$C/work/out"
