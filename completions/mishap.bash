# bash completion for mishap(1).
_mishap() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
	local commands="run replay report halt check explain fmt list load sweep powercut watch doctor"
	local command=${COMP_WORDS[1]} common run_dir=.mishap/runs i

	COMPREPLY=()
	if [ "$COMP_CWORD" = 1 ]; then
		mapfile -t COMPREPLY < <(compgen -W \
			"$commands --help --version" -- "$cur")
		return
	fi
	for ((i = 2; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		--) # the target's own command line
			compopt -o default
			[ "$i" = $((COMP_CWORD - 1)) ] &&
				mapfile -t COMPREPLY < <(compgen -c -- "$cur")
			return
			;;
		--run-dir) run_dir=${COMP_WORDS[i + 1]} ;;
		esac
	done
	case $prev in
	--json | --junit | --events | --run-dir)
		compopt -o default
		return
		;;
	--data | --sites)
		compopt -o filenames
		mapfile -t COMPREPLY < <(compgen -d -- "$cur")
		return
		;;
	--groups)
		mapfile -t COMPREPLY < <(compgen -W \
			"life,net life,net,sys life,net,sys,latency,durable" -- "$cur")
		return
		;;
	--color)
		mapfile -t COMPREPLY < <(compgen -W "always never auto" -- "$cur")
		return
		;;
	--history)
		mapfile -t COMPREPLY < <(compgen -W "edn json porcupine" -- "$cur")
		return
		;;
	--limit)
		compopt -o nospace
		mapfile -t COMPREPLY < <(compgen -W "time= faults= rss=" -- "$cur")
		return
		;;
	--watch)
		mapfile -t COMPREPLY < <(compgen -W "auto lite full off" -- "$cur")
		return
		;;
	-f | --fault | -e | --expect | --phase | --ready | --load | --steady | --var | --seed | --repeat | --kill-points | --timeout | --pid | --interval)
		return
		;;
	esac
	common="--run-dir --json --junit --events --color --quiet --verbose --help"
	case $command in
	run)
		case $cur in
		-*) mapfile -t COMPREPLY < <(compgen -W "--fault --phase --expect
			--ready --load --steady --var --seed --repeat --kill-points --timeout --limit --sandbox --watch
			--no-network --notify --keep-scratch $common --" -- "$cur") ;;
		*)
			compopt -o filenames
			mapfile -t COMPREPLY < <(compgen -f -X '!*.y*ml' -- "$cur"
				compgen -d -- "$cur")
			;;
		esac
		;;
	replay | report)
		case $cur in
		-*) mapfile -t COMPREPLY < <(compgen -W "$common --history --gdb" -- "$cur") ;;
		*) mapfile -t COMPREPLY < <(compgen -W \
			"last $(ls "$run_dir" 2>/dev/null)" -- "$cur") ;;
		esac
		;;
	halt) mapfile -t COMPREPLY < <(compgen -W "--json --quiet --help" -- "$cur") ;;
	sweep)
		case $prev in
		--calls) mapfile -t COMPREPLY < <(compgen -W \
			"file net alloc dns proc" -- "$cur") ;;
		--check) mapfile -t COMPREPLY < <(compgen -c -- "$cur") ;;
		--stdin) mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
		*) mapfile -t COMPREPLY < <(compgen -W "--calls --check --budget
			--timeout --stdin --jobs --shard --loader --shell --strict
			--list --no-network --run-dir --json --verbose --quiet
			--help --" -- "$cur") ;;
		esac
		;;
	powercut)
		case $prev in
		--fs) mapfile -t COMPREPLY < <(compgen -W "posix-min
			ext4-ordered ext4-worst xfs btrfs all" -- "$cur") ;;
		--tree | --into) mapfile -t COMPREPLY < <(compgen -d -- "$cur") ;;
		--durability) mapfile -t COMPREPLY < <(compgen -W \
			"strict prefix none" -- "$cur") ;;
		--check | --check-server | --recover) mapfile -t COMPREPLY < <(
			compgen -c -- "$cur") ;;
		*) mapfile -t COMPREPLY < <(compgen -W "--fs --tree --check
			--check-server --recover --durability --budget --timeout
			--states --seed --shard --jobs --no-network --run-dir --json
			--show --into --quiet --help --" -- "$cur") ;;
		esac
		;;
	load)
		mapfile -t COMPREPLY < <(compgen -W "http redis postgres files --clients
			--count --for --stream --op --retry --timeout --pause --lose-reply
			--twice --no-key --no-sync --method --body --prefix --seed --read
			--help" -- "$cur")
		;;
	watch) mapfile -t COMPREPLY < <(compgen -W "--pid --interval --groups --data --sites --json --help --" -- "$cur") ;;
	doctor) mapfile -t COMPREPLY < <(compgen -W "--coverage --count-by --notify --load --ready --timeout --json --help" -- "$cur") ;;
	list) mapfile -t COMPREPLY < <(compgen -W "calls families faults
		expectations scenarios --json --docs --help" -- "$cur") ;;
	check | explain | fmt)
		case $cur in
		-*) mapfile -t COMPREPLY < <(compgen -W "--fault --expect --phase
			--ready --load --steady --var --help" -- "$cur") ;;
		*)
			compopt -o filenames
			mapfile -t COMPREPLY < <(compgen -f -X '!*.y*ml' -- "$cur"
				compgen -d -- "$cur")
			;;
		esac
		;;
	esac
}
complete -F _mishap mishap
