#!/usr/bin/env bash
# Runs every scenario over both faces of the crate, and compares their replies byte for byte.
#
# The harness keeps each reply of a test, the code that was delivered for it and the result of each call of the host,
# without what is random whatever the harness does (tests/src/replies.rs). Fails on any difference.
set -euo pipefail
cd "$(dirname "$0")/.."

# What can't be compared, and why.
declare -A left_out=(
    [default_entropy.servers_that_differ_in_nothing_else_send_different_codes_and_tokens]='the random bytes of the system'
    [own_signer.a_client_that_hangs_up_while_it_signs_can_come_back]='a signer that stalls is waited for, and is a 503 of an exchange'
    [refresh_reuse.fifty_refreshes_on_four_threads_get_one_successor]='the order of four threads'
    [tokio-rt-worker]='the order of four threads, here and in parallel_guesses'
)

replies=$PWD/target/both_faces
rm -rf "$replies" && mkdir -p "$replies/ports" "$replies/exchange"
trap 'rm -rf "$replies"' EXIT
cargo test --locked --quiet -p otp-grant-scenarios --no-run

declare -A passed
for face in ports exchange; do
    # The same choices of proptest over both faces.
    FACE=$face REPLIES=$replies/$face PROPTEST_RNG_SEED=1 \
        cargo test --locked --quiet -p otp-grant-scenarios >"$replies/$face.log" 2>&1 ||
        { cat "$replies/$face.log" && echo "a scenario fails over FACE=$face" && exit 1; }
    passed[$face]=$(sed -n 's/^test result: ok\. \([0-9]*\) passed.*/\1/p' "$replies/$face.log")
done

differences=0 compared=0 files=0
for file in $(ls "$replies/ports" "$replies/exchange" | grep -v ':$' | sort -u); do
    if [ -n "${left_out[$file]-}" ]; then
        unset "left_out[$file]"
        continue
    fi
    if cmp -s "$replies/ports/$file" "$replies/exchange/$file"; then
        compared=$((compared + $(wc -l <"$replies/ports/$file")))
        files=$((files + 1))
    else
        differences=$((differences + 1))
        echo "$file differs between the faces:"
        { diff "$replies/ports/$file" "$replies/exchange/$file" | cut -c1-400 | head -8; } || true
    fi
done
for file in "${!left_out[@]}"; do echo "$file is left out, and no scenario has this name" && exit 1; done

printf '%s scenarios ran over the async ports, and %s over exchanges: ' "${passed[ports]}" "${passed[exchange]}"
printf '%d replies of %d scenarios compared, %d scenarios differ\n' "$compared" "$files" "$differences"
[ "${passed[ports]}" = "${passed[exchange]}" ] && [ "$compared" -gt 0 ] && [ "$differences" = 0 ]
