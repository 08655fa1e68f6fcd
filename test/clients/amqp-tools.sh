#!/usr/bin/env bash
# Debian's amqp-tools: the commands over librabbitmq.
# usage: amqp-tools.sh PHASE ADDR...
set -u
phase=$1 first=$2 second=$3
failed=0
me=tools-$$-$RANDOM
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

at() { echo "--url=amqp://guest:guest@$1/%2f"; }

check() { # name, command...
	local name=$1
	shift
	if ("$@") 2>"$work/err"; then
		echo "ok $name"
	else
		failed=1
		echo "FAIL $name: $(tr '\n' ' ' <"$work/err")"
	fi
}

same() { # what, got, want
	[ "$2" = "$3" ] || { echo "$1: got $2, want $3" >&2; return 1; }
}

declare_publish_get_delete() {
	local q=$me-q
	same declare "$(amqp-declare-queue "$(at "$first")" -q "$q" -d)" "$q" || return
	amqp-publish "$(at "$second")" -r "$q" -b hello -p -C text/plain -H 'key: value' || return
	echo from a pipe | amqp-publish "$(at "$second")" -r "$q" -p || return
	printf 'one\ntwo\n' | amqp-publish "$(at "$second")" -r "$q" -p -l || return
	local got=
	for _ in 1 2 3 4; do got+="$(get "$q"),"; done
	same get "$got" "hello,from a pipe,one,two," || return
	amqp-get "$(at "$second")" -q "$q" && { echo "an empty queue gave a message" >&2; return 1; }
	amqp-delete-queue "$(at "$second")" -q "$q" >"$work/deleted" || return
	same "deleted with messages" "$(cat "$work/deleted")" 0
}

get() { # waits for a message: amqp-publish waits for no confirm
	local end=$((SECONDS + 10))
	until amqp-get "$(at "$first")" -q "$1"; do
		((SECONDS < end)) || { echo "no message in $1" >&2; return 1; }
	done
}

consume_with_a_command() { # each message is the standard input of a command, acknowledged when that ends with 0
	local q=$me-c
	amqp-declare-queue "$(at "$first")" -q "$q" -d >/dev/null || return
	printf 'a\nb\nc\n' | amqp-publish "$(at "$second")" -r "$q" -p -l || return
	printf '#!/bin/sh\ncat\necho\n' >"$work/line"
	chmod +x "$work/line"
	amqp-consume "$(at "$first")" -q "$q" -c 3 -p 1 "$work/line" >"$work/out" || return
	same consumed "$(tr '\n' ' ' <"$work/out" | tr -s ' ')" "a b c " || return
	amqp-delete-queue "$(at "$second")" -q "$q" >"$work/deleted" || return
	same left "$(cat "$work/deleted")" 0
}

consume_from_an_exchange() { # a queue of its own, bound by amqp-consume
	amqp-consume "$(at "$first")" -e amq.topic -r "$me.#" -c 1 cat >"$work/topic" &
	local consumer=$! end=$((SECONDS + 10))
	while kill -0 "$consumer" 2>/dev/null; do # until its binding is there
		amqp-publish "$(at "$second")" -e amq.topic -r "$me.key" -b routed || return
		((SECONDS < end)) || { kill "$consumer"; echo "nothing came" >&2; return 1; }
	done
	wait "$consumer" || return
	same consumed "$(cat "$work/topic")" routed
}

a_large_message() {
	local q=$me-l
	amqp-declare-queue "$(at "$first")" -q "$q" -d >/dev/null || return
	head -c $((8 << 20)) /dev/zero | tr '\0' x >"$work/large"
	amqp-publish "$(at "$second")" -r "$q" -p <"$work/large" || return
	get "$q" >"$work/back" || return
	cmp "$work/large" "$work/back" >&2 || return
	amqp-delete-queue "$(at "$first")" -q "$q" >/dev/null
}

errors_are_told() {
	amqp-get "$(at "$first")" -q "$me-nope" 2>"$work/told" && return 1
	grep -q "404.*NOT_FOUND - no queue '$me-nope' in vhost '/'" "$work/told" || { cat "$work/told" >&2; return 1; }
	amqp-publish --url="amqp://guest:wrong@$first/%2f" -r x -b x 2>"$work/told" && return 1
	grep -q "ACCESS_REFUSED - Login was refused" "$work/told" || { cat "$work/told" >&2; return 1; }
}

case $phase in
features)
	check declare_publish_get_delete declare_publish_get_delete
	check consume_with_a_command consume_with_a_command
	check consume_from_an_exchange consume_from_an_exchange
	check a_large_message a_large_message
	check errors_are_told errors_are_told
	;;
*)
	echo "FAIL $phase: amqp-tools has nothing of the kind"
	failed=1
	;;
esac
exit $failed
